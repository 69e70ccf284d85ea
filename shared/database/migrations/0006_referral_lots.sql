-- Where a referral's rewards went: they are taken back from there, whatever was told of the members since.
alter table referral add column referrer_lot bigint not null default 0;
alter table referral add column friend_lot bigint not null default 0;
update referral r
set referrer_lot = coalesce((select lot from entry where cause = r.key and rule = -1 and lot <> 0 limit 1), 0),
    friend_lot = coalesce((select lot from entry where cause = r.key and rule = -2 and lot <> 0 limit 1), 0)
where state in ('qualified', 'reversed');
