-- What was counted of a member: points paid under a cap, by the cap's period; purchases; visits in a row.
-- Written by earn, under the locks of the member's accounts.
create table tally (
    member text not null,
    name   text not null,
    period integer not null,
    amount bigint not null,
    primary key (member, name, period)
);

-- A registered friend's earliest orders are asked for; some members (a shared card) have very many.
create index purchase_member_time on purchase (member, occurred_at);
drop index purchase_member;
