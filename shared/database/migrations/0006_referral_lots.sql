-- Where a referral's rewards went: they are taken back from there, whatever was told of the members since.
alter table referral add column referrer_lot bigint not null default 0;
alter table referral add column friend_lot bigint not null default 0;
update referral r
set referrer_lot = coalesce(e.referrer_lot, 0), friend_lot = coalesce(e.friend_lot, 0)
from (select cause, max(lot) filter (where rule = -1) as referrer_lot, max(lot) filter (where rule = -2) as friend_lot
      from entry where rule in (-1, -2) and operation in (1, 2) group by cause) e
where e.cause = r.key;
