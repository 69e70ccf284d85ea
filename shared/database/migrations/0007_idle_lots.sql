-- Points that lapse without activity keep the terms that they were earned under, as all points do: how long the
-- member may do nothing stands with the lot. Points that were earned before this migration live for ever.
alter table lot add column idle text not null default '';
