-- Cancellations lie with the returns: they take back what is left of an order.
alter table purchase_return add column kind text not null default 'return' check (kind in ('return', 'cancellation'));

-- Every amendment that took effect, numbered from 1 within its order. result is JSON, as a purchase's, of the whole
-- order as it stands then; changes is JSON: [[rule, lot, points paid more (negative: taken back)], …].
create table amendment (
    key           uuid primary key,
    content_hash  uuid not null,
    order_key     uuid not null,
    number        integer not null,
    archive_seq   bigint not null,
    archive_index integer not null,
    occurred_at   timestamptz not null,
    source        text not null,
    amendment_id  text not null,
    member        text not null,
    result        text not null,
    changes       text not null,
    unique (order_key, number)
);

-- Orders as their last amendment left them.
create view order_now as
select p.key, p.source, p.order_id, p.member, p.occurred_at, p.program_version, coalesce(a.result, p.result) as result,
       coalesce(a.number, 0) as amendments, coalesce(a.occurred_at, '-infinity') as amended_at
from purchase p
left join lateral (
    select result, number, occurred_at from amendment where order_key = p.key order by number desc limit 1
) a on true;

-- What the member claimed lies with what was shipped: both make points of an order available.
alter table fulfilment add column kind text not null default 'fulfilment' check (kind in ('fulfilment', 'claim'));

-- Whether an order was fulfilled is asked before it is amended.
create index fulfilment_order on fulfilment (order_key);

-- What rules may ask about a member, as loyalty.members told it last; no personal data. content is JSON.
-- Written by earn, under the locks of the member's accounts.
create table member (
    member      text primary key,
    occurred_at timestamptz not null,
    content     text not null
);
