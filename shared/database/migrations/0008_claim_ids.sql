-- The id of a claim, and who told of it: what an operator asks about goes by both.
alter table fulfilment add column claim_id text not null default '';
alter table fulfilment add column source text not null default '';
