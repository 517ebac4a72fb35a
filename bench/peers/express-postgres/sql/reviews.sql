-- The four review files, in one transaction. psql runs this in the directory of the CSV files.
--
-- What a request asks for together is kept together: a review with its photos and its ratings of
-- characteristics is one row, and so is what /reviews/meta says of a product. A value of the wrong
-- type ends the load with PostgreSQL's own message, which names file, line and column.

\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
SET LOCAL work_mem = '256MB';
SET LOCAL hash_mem_multiplier = 2;
SET LOCAL maintenance_work_mem = '512MB';

CREATE UNLOGGED TABLE raw_reviews (
    id integer, product_id integer, rating smallint, date bigint, summary text, body text,
    recommend boolean, reported boolean, reviewer_name text, reviewer_email text, response text,
    helpfulness integer
);
CREATE UNLOGGED TABLE raw_review_photos (id integer, review_id integer, url text);
CREATE UNLOGGED TABLE raw_characteristics (id integer, product_id integer, name text);
CREATE UNLOGGED TABLE raw_ratings (
    id integer, characteristic_id integer, review_id integer, value smallint
);

-- The bare word null is null; in quotes it is a word.
\copy raw_reviews FROM 'reviews.csv' (FORMAT csv, HEADER, NULL 'null')
\copy raw_review_photos FROM 'reviews_photos.csv' (FORMAT csv, HEADER, NULL 'null')
\copy raw_characteristics FROM 'characteristics.csv' (FORMAT csv, HEADER, NULL 'null')
\copy raw_ratings FROM 'characteristic_reviews.csv' (FORMAT csv, HEADER, NULL 'null')

CREATE TABLE reviews (
    date bigint NOT NULL,
    id integer NOT NULL,
    product_id integer NOT NULL,
    helpfulness integer NOT NULL,
    rating smallint NOT NULL,
    recommend boolean NOT NULL,
    reported boolean NOT NULL,
    summary text NOT NULL,
    body text NOT NULL,
    response text,
    reviewer_name text NOT NULL,
    reviewer_email text NOT NULL,
    -- [{"id":…,"url":…}], as it is answered.
    photos json NOT NULL,
    -- {"characteristic":value}
    ratings json
);

-- In the order of products, so that a page of reviews comes from one place of the disk.
INSERT INTO reviews
SELECT r.date, r.id, r.product_id, r.helpfulness, r.rating, r.recommend, r.reported, r.summary,
       r.body, nullif(r.response, ''), r.reviewer_name, r.reviewer_email,
       coalesce(p.photos, '[]'), c.ratings
FROM raw_reviews r
LEFT JOIN (
    SELECT review_id,
           ('[' || string_agg('{"id":' || id || ',"url":' || to_json(url) || '}', ',' ORDER BY id)
               || ']')::json AS photos
    FROM raw_review_photos GROUP BY review_id
) p ON p.review_id = r.id
LEFT JOIN (
    SELECT review_id,
           ('{' || string_agg('"' || characteristic_id || '":' || value, ',') || '}')::json AS ratings
    FROM raw_ratings GROUP BY review_id
) c ON c.review_id = r.id
ORDER BY r.product_id, r.id;

ALTER TABLE reviews ADD PRIMARY KEY (id);
-- The two orders of a list. A reported review is in none.
CREATE INDEX reviews_helpful ON reviews (product_id, helpfulness DESC, date DESC, id DESC)
    WHERE NOT reported;
CREATE INDEX reviews_newest ON reviews (product_id, date DESC, id DESC) WHERE NOT reported;

-- What reviews say of each product: the counts, and the answer to /reviews/meta that follows from
-- them. add_review() keeps both right.
CREATE TABLE review_meta (
    product_id integer NOT NULL,
    -- How often 1 to 5 stars were given, and false and true.
    stars integer[] NOT NULL DEFAULT '{0,0,0,0,0}',
    recommended integer[] NOT NULL DEFAULT '{0,0}',
    -- The product's characteristics in the order of their ids.
    ids integer[] NOT NULL DEFAULT '{}',
    names text[] NOT NULL DEFAULT '{}',
    sums integer[] NOT NULL DEFAULT '{}',
    counts integer[] NOT NULL DEFAULT '{}',
    body text NOT NULL DEFAULT ''
) WITH (fillfactor = 90);

INSERT INTO review_meta
SELECT product_id, stars, recommended, ids, names, sums, counts,
       meta_body(product_id, stars, recommended, shown)
FROM (
    SELECT product_id, coalesce(stars, '{0,0,0,0,0}') AS stars,
           coalesce(recommended, '{0,0}') AS recommended, coalesce(ids, '{}') AS ids,
           coalesce(names, '{}') AS names, coalesce(sums, '{}') AS sums,
           coalesce(counts, '{}') AS counts, coalesce(shown, '') AS shown
    FROM (
        SELECT product_id,
               ARRAY[count(*) FILTER (WHERE rating = 1), count(*) FILTER (WHERE rating = 2),
                     count(*) FILTER (WHERE rating = 3), count(*) FILTER (WHERE rating = 4),
                     count(*) FILTER (WHERE rating = 5)]::integer[] AS stars,
               ARRAY[count(*) FILTER (WHERE NOT recommend),
                     count(*) FILTER (WHERE recommend)]::integer[] AS recommended
        FROM reviews GROUP BY product_id
    ) r
    FULL JOIN (
        SELECT product_id, array_agg(id ORDER BY id) AS ids, array_agg(name ORDER BY id) AS names,
               array_agg(coalesce(sum, 0)::integer ORDER BY id) AS sums,
               array_agg(coalesce(count, 0)::integer ORDER BY id) AS counts,
               string_agg(meta_characteristic(id, name, sum, coalesce(count, 0)), ',' ORDER BY id)
                   AS shown
        FROM raw_characteristics c
        LEFT JOIN (
            SELECT characteristic_id, sum(value), count(*) FROM raw_ratings GROUP BY characteristic_id
        ) s ON s.characteristic_id = c.id
        GROUP BY product_id
    ) c USING (product_id)
) counted
ORDER BY product_id;
ALTER TABLE review_meta ADD PRIMARY KEY (product_id);

CREATE SEQUENCE review_ids AS integer;
CREATE SEQUENCE review_photo_ids AS integer;
SELECT setval('review_ids', max(id)) FROM reviews \g /dev/null
SELECT setval('review_photo_ids', max(id)) FROM raw_review_photos \g /dev/null

DROP TABLE raw_reviews, raw_review_photos, raw_characteristics, raw_ratings;
COMMIT;
VACUUM (ANALYZE, FREEZE) reviews, review_meta;
