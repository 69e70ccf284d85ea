-- What readers ask for is found by an index, however much there is. Partial wherever a query says which part it wants.

-- An id without its source. With it, the key is looked up.
create index purchase_by_id on purchase (order_id);
create index purchase_return_by_id on purchase_return (return_id);
create index amendment_by_id on amendment (amendment_id);
create index fulfilment_by_id on fulfilment (claim_id) where kind = 'claim';
create index referral_by_id on referral (referral_id);
create index redemption_by_id on redemption (redemption_id);

-- What an order caused, and the friend of a refused referral: the others are in referral_friend.
create index referral_order on referral (order_key) where order_key is not null;
create index referral_refused on referral (friend) where state = 'refused';
create index parked_applied on parked (order_key) where state = 'applied';

-- The order of lists, which are read a page at a time. Nothing of account and standing: balances and what is
-- counted towards a tier change with every purchase, and an index on them would end updates in place (HOT).
create index redemption_requested on redemption (requested_at);
create index notification_occurred on notification (occurred_at);
create index referral_registered on referral (registered_at);
create index dead_letter_recorded on dead_letter (recorded_at);

-- What a packed record names: the ids in its data, and its event's own. Null: written before this migration; these are
-- opened one by one. Ids of what waits are only asked for while it waits.
alter table dead_letter add column names text[];
alter table parked add column names text[];
create index dead_letter_names on dead_letter using gin (names);
create index dead_letter_unnamed on dead_letter (recorded_at) where names is null;
create index parked_names on parked using gin (names) where state = 'waiting';
create index parked_unnamed on parked (parked_at) where state = 'waiting' and names is null;
