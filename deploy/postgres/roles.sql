-- Creates the roles of the services and sets their passwords; can be repeated. Run it with psql as a superuser:
--
--   LOYALTY_EARN_PASSWORD=… LOYALTY_REDEEM_PASSWORD=… LOYALTY_TIERS_PASSWORD=… LOYALTY_NOTIFY_PASSWORD=… \
--     psql --file deploy/postgres/roles.sql
--
-- `loyalty database migrate` grants the roles their rights. The names are those for the schema `loyalty`; for a
-- deployment in another schema: psql --set schema=<schema>.

\set ON_ERROR_STOP on
\if :{?schema}
\else
  \set schema loyalty
\endif
\set earn :schema _earn
\set redeem :schema _redeem
\set tiers :schema _tiers
\set notify :schema _notify
\getenv earn_password LOYALTY_EARN_PASSWORD
\getenv redeem_password LOYALTY_REDEEM_PASSWORD
\getenv tiers_password LOYALTY_TIERS_PASSWORD
\getenv notify_password LOYALTY_NOTIFY_PASSWORD

begin;
-- Two concurrent runs would both find a role missing.
select pg_advisory_xact_lock(hashtext('loyalty roles')) \g /dev/null

select format('create role %I', name)
from unnest(array[:'earn', :'redeem', :'tiers', :'notify']) as name
where not exists (select from pg_roles where rolname = name) \gexec

alter role :"earn" with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'earn_password';
alter role :"redeem" with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'redeem_password';
alter role :"tiers" with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'tiers_password';
alter role :"notify" with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'notify_password';
commit;
