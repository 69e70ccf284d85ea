-- When points were earned and redeemed last: wallets whose points lapse without activity ask for it.
alter table account add column earned_at timestamptz not null default '-infinity';
alter table account add column redeemed_at timestamptz not null default '-infinity';
update account a
set earned_at = coalesce(e.earned_at, '-infinity'), redeemed_at = coalesce(e.redeemed_at, '-infinity')
from (select account, max(occurred_at) filter (where operation in (1, 2) and points > 0) as earned_at,
             max(occurred_at) filter (where operation = 6) as redeemed_at
      from entry group by account) e
where e.account = a.account;
