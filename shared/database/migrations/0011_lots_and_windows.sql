-- What expired of a lot, and how much of that was excused since: what came back of orders whose points were gone is
-- not charged again. life: how points live that wait for an event, once it makes them available; the lot gets its
-- instants then. Points that came back after their expiry move to a lot that lives on: nothing was earned in it.
alter table lot drop constraint lot_check;
alter table lot add constraint lot_remaining_check check (remaining >= 0);
alter table lot add column expired bigint not null default 0 check (expired >= 0);
alter table lot add column excused bigint not null default 0 check (excused >= 0);
alter table lot add constraint lot_excused_of_expired check (excused <= expired);
alter table lot add column life text not null default '';

-- The purchase in whose window the entry's amounts count towards a tier. Null: they count at event_at.
alter table entry add column counts_at timestamptz;
