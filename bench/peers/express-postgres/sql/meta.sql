-- How /reviews/meta is spelled: plain expressions, which PostgreSQL writes into the statements that
-- use them. The load renders with these, and so does add_review().

\set ON_ERROR_STOP on
\set QUIET on

-- A mean with 16 decimals, rounded half up. Whole numbers, because a quotient that numeric has
-- already rounded must not be rounded again.
CREATE OR REPLACE FUNCTION mean(sum bigint, count bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT div(20000000000000000::numeric * sum + count, 2 * count) * 0.0000000000000001
$$;

CREATE OR REPLACE FUNCTION meta_characteristic(id integer, name text, sum bigint, count bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT to_json(name) || ':{"id":' || id || ',"value":'
        || coalesce('"' || mean(sum, nullif(count, 0)) || '"', 'null') || '}'
$$;

CREATE OR REPLACE FUNCTION meta_body(
    product_id integer, stars integer[], recommended integer[], characteristics text
) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT '{"product_id":"' || product_id || '","ratings":{' || concat_ws(',',
            '"1":"' || nullif(stars[1], 0) || '"', '"2":"' || nullif(stars[2], 0) || '"',
            '"3":"' || nullif(stars[3], 0) || '"', '"4":"' || nullif(stars[4], 0) || '"',
            '"5":"' || nullif(stars[5], 0) || '"')
        || '},"recommended":{' || concat_ws(',',
            '"false":"' || nullif(recommended[1], 0) || '"',
            '"true":"' || nullif(recommended[2], 0) || '"')
        || '},"characteristics":{' || characteristics || '}}'
$$;
