-- The one way a review is added. Run when the tables are there.

\set ON_ERROR_STOP on
\set QUIET on

-- Adds a review and counts it, in one round trip and one transaction, and answers with its id; with
-- null where there is no such product, or it lacks one of the characteristics.
CREATE OR REPLACE FUNCTION add_review(
    of integer, stars_given smallint, recommends boolean, summary text, body text, name text,
    email text, photo_urls text[], rated integer[], given integer[]
) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    meta review_meta;
    review integer := nextval('review_ids');
    photos text := '[]';
    ratings text;
BEGIN
    -- Locks the row until the end, so that no review is missing from the sums.
    SELECT * INTO meta FROM review_meta WHERE product_id = of FOR UPDATE;
    IF NOT found THEN
        INSERT INTO review_meta SELECT id FROM products WHERE id = of ON CONFLICT DO NOTHING;
        SELECT * INTO meta FROM review_meta WHERE product_id = of FOR UPDATE;
        IF NOT found THEN RETURN NULL; END IF;
    END IF;

    meta.stars[stars_given] := meta.stars[stars_given] + 1;
    meta.recommended[recommends::integer + 1] := meta.recommended[recommends::integer + 1] + 1;
    IF rated <> '{}' THEN
        IF NOT rated <@ meta.ids THEN RETURN NULL; END IF;
        SELECT array_agg(c.sum + coalesce(value, 0) ORDER BY c.id),
               array_agg(c.count + (value IS NOT NULL)::integer ORDER BY c.id),
               '{' || string_agg('"' || r.id || '":' || value, ',') || '}'
            INTO meta.sums, meta.counts, ratings
            FROM unnest(meta.ids, meta.sums, meta.counts) c (id, sum, count)
            LEFT JOIN unnest(rated, given) r (id, value) ON r.id = c.id;
    END IF;
    IF photo_urls <> '{}' THEN
        SELECT '[' || string_agg('{"id":' || nextval('review_photo_ids') || ',"url":' || to_json(url)
            || '}', ',') || ']' INTO photos FROM unnest(photo_urls) url;
    END IF;
    INSERT INTO reviews VALUES (
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint, review, of, 0, stars_given,
        recommends, false, summary, body, NULL, name, email, photos::json, ratings::json
    );
    UPDATE review_meta SET stars = meta.stars, recommended = meta.recommended, sums = meta.sums,
        counts = meta.counts,
        body = meta_body(of, meta.stars, meta.recommended, coalesce((
            SELECT string_agg(meta_characteristic(c.id, c.name, c.sum, c.count), ',' ORDER BY c.id)
            FROM unnest(meta.ids, meta.names, meta.sums, meta.counts) c (id, name, sum, count)), ''))
    WHERE product_id = of;
    RETURN review;
END
$$;
