-- The whole flow: pending lots, returns, referrals, redemptions, tiers, notifications, sweeps.

-- Points of a lot are all pending or all available. fulfils: the order whose fulfilment they wait for.
alter table lot add column pending boolean not null default false;
alter table lot add column fulfils uuid;

-- occurred_at never goes back within an account; event_at is the event's own time, earlier if it came late.
alter table entry add column event_at timestamptz;
update entry set event_at = occurred_at;
alter table entry alter column event_at set not null;

-- What the sweep looks for. Most accounts have something due some day; few have it due now.
create index account_due on account (next_due) where next_due < 'infinity';
create index purchase_member on purchase (member);

-- Business keys of returns, fulfilments and referrals, in one place: two partitions that race on one meet here.
create table accepted_key (
    key          uuid primary key,
    content_hash uuid not null
);

-- Counts the take-overs of a partition: a worker that lost it is fenced even where no batch came since (sweeps).
alter table watermark add column claim bigint not null default 0;

-- Every return that took effect. result is JSON: what came back of each line, and of each award.
create table purchase_return (
    key           uuid primary key,
    content_hash  uuid not null,
    order_key     uuid not null,
    archive_seq   bigint not null,
    archive_index integer not null,
    occurred_at   timestamptz not null,
    source        text not null,
    return_id     text not null,
    member        text not null,
    result        text not null
);
create index purchase_return_order on purchase_return (order_key);

-- Orders that were fulfilled.
create table fulfilment (
    key           uuid primary key,
    content_hash  uuid not null,
    order_key     uuid not null,
    archive_seq   bigint not null,
    archive_index integer not null,
    occurred_at   timestamptz not null,
    member        text not null
);

-- Returns and fulfilments that came before their order.
create table parked (
    key           uuid not null,
    content_hash  uuid not null,
    order_key     uuid not null,
    member        text not null,
    state         text not null default 'waiting' check (state in ('waiting', 'applied', 'refused')),
    parked_at     timestamptz not null,
    archive_seq   bigint not null,
    archive_index integer not null,
    topic         text not null,
    partition     integer not null,
    epoch         integer not null,
    record        bytea not null,
    primary key (archive_seq, archive_index)
);
create index parked_order on parked (order_key) where state = 'waiting';
create index parked_time on parked (parked_at) where state = 'waiting';

create table referral (
    key             uuid primary key,
    content_hash    uuid not null,
    archive_seq     bigint not null,
    archive_index   integer not null,
    source          text not null,
    referral_id     text not null,
    referrer        text not null,
    friend          text not null,
    registered_at   timestamptz not null,
    state           text not null check (state in ('open', 'qualified', 'refused', 'reversed')),
    reason          text not null,
    order_key       uuid,
    order_id        text not null,
    order_source    text not null,
    qualified_at    timestamptz,
    minimum         bigint not null,
    program_version integer not null,
    referrer_points bigint not null,
    friend_points   bigint not null
);
-- A friend is referred once; refused attempts do not count.
create unique index referral_friend on referral (friend) where state <> 'refused';
create index referral_referrer on referral (referrer, qualified_at);

-- One redemption through all its states. parts is JSON: [[lot, available_at, expires_at, fulfils, points], …].
-- answers holds what was said, packed, by what was asked: repeated word for word.
create table redemption (
    key             uuid primary key,
    content_hash    uuid not null,
    archive_seq     bigint not null,
    archive_index   integer not null,
    source          text not null,
    redemption_id   text not null,
    account         bigint,
    member          text not null,
    wallet          text not null,
    reward          text not null,
    state           text not null check (state in ('reserved', 'rejected', 'redeemed', 'released', 'refunded')),
    reason          text not null,
    points          bigint not null check (points >= 0),
    requested_at    timestamptz not null,
    held_until      timestamptz not null,
    settled_at      timestamptz,
    program_version integer not null,
    parts           text not null,
    answers         bytea not null
);
create index redemption_held on redemption (account) where state = 'reserved';
create index redemption_member on redemption (member, reward);

-- What tiers knows of a member: the fold over the ladder account's entries up to a version, and what was announced.
-- program_version: the newest one when that was worked out; a newer one may have another ladder.
create table standing (
    account         bigint primary key,
    member          text not null,
    version         bigint not null,
    program_version integer not null,
    tier            text not null,
    metric_value    bigint not null,
    valid_from      timestamptz not null,
    valid_until     timestamptz not null,
    fold            text not null,
    announced       text not null,
    next_due        timestamptz not null,
    updated_at      timestamptz not null
) with (fillfactor = 70);
create index standing_due on standing (next_due) where next_due < 'infinity';
create index standing_member on standing (member);

create table tier_history (
    account      bigint not null,
    number       integer not null,
    member       text not null,
    change       text not null check (change in ('upgraded', 'downgraded', 'retained')),
    old_tier     text not null,
    tier         text not null,
    reason       text not null,
    metric_value bigint not null,
    occurred_at  timestamptz not null,
    version      bigint not null,
    primary key (account, number)
);

-- Personal data: only notify reads and writes this table.
create table profile (
    member      text primary key,
    occurred_at timestamptz not null,
    profile     text not null,
    updated_at  timestamptz not null
);

-- Every decision to tell a member something, or not, under its meaning.
create table notification (
    dedupe_key  text primary key,
    id          text not null unique,
    archive_seq bigint not null,
    member      text not null,
    kind        text not null,
    state       text not null check (state in ('sent', 'suppressed')),
    reason      text not null,
    not_before  timestamptz not null,
    use_by      timestamptz not null,
    occurred_at timestamptz not null,
    decided_at  timestamptz not null
);
create index notification_member on notification (member);

-- What a batch was told apart from its records: which accounts a sweep treated, what a profile allowed.
alter table archive add column facts bytea not null default ''::bytea;
alter table program add column templates text not null default '{}';
