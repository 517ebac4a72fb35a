-- The six catalogue files, in one transaction. psql runs this in the directory of the CSV files.
--
-- Nothing writes to the catalogue but this, so what a route answers with is put together here: a
-- product with its features and related products is one row, and so are a product's styles.

\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
SET LOCAL work_mem = '256MB';
SET LOCAL hash_mem_multiplier = 2;
SET LOCAL maintenance_work_mem = '512MB';

CREATE UNLOGGED TABLE raw_products (
    id integer, name text, slogan text, description text, category text, default_price text
);
CREATE UNLOGGED TABLE raw_styles (
    id integer, product_id integer, name text, sale_price text, original_price text,
    default_style boolean
);
CREATE UNLOGGED TABLE raw_skus (id integer, style_id integer, size text, quantity integer);
CREATE UNLOGGED TABLE raw_features (id integer, product_id integer, feature text, value text);
CREATE UNLOGGED TABLE raw_related (id integer, product_id integer, related_id integer);
CREATE UNLOGGED TABLE raw_photos (id integer, style_id integer, url text, thumbnail_url text);

\copy raw_products FROM 'product.csv' (FORMAT csv, HEADER, NULL 'null')
\copy raw_styles FROM 'styles.csv' (FORMAT csv, HEADER, NULL 'null')
\copy raw_skus FROM 'skus.csv' (FORMAT csv, HEADER, NULL 'null')
\copy raw_features FROM 'features.csv' (FORMAT csv, HEADER, NULL 'null')
\copy raw_related FROM 'related.csv' (FORMAT csv, HEADER, NULL 'null')
-- Some rows lack their last quote, which would swallow the next line. No field holds a line break, so
-- a line is a row, and gets the quote it lacks.
\copy raw_photos FROM PROGRAM 'LC_ALL=C sed ''1!{/"$/!s/$/"/}'' photos.csv' (FORMAT csv, HEADER, NULL 'null')

CREATE TABLE products (
    id integer NOT NULL,
    name text NOT NULL,
    slogan text NOT NULL,
    description text NOT NULL,
    category text NOT NULL,
    default_price text NOT NULL,
    -- [{"feature":…,"value":…}], as it is answered.
    features json NOT NULL,
    -- [id,…], as it is answered.
    related json NOT NULL
);
INSERT INTO products
SELECT p.id, name, slogan, description, category, default_price,
       coalesce(features, '[]'), coalesce(related, '[]')
FROM raw_products p
LEFT JOIN (
    SELECT product_id,
           ('[' || string_agg('{"feature":' || to_json(feature) || ',"value":'
               || coalesce(to_json(value)::text, 'null') || '}', ',' ORDER BY id) || ']')::json AS features
    FROM raw_features GROUP BY product_id
) f ON f.product_id = p.id
LEFT JOIN (
    -- Product 0 is the real set's word for none.
    SELECT product_id, array_to_json(array_agg(related_id ORDER BY id)) AS related
    FROM raw_related WHERE related_id <> 0 GROUP BY product_id
) r ON r.product_id = p.id
ORDER BY p.id;
ALTER TABLE products ADD PRIMARY KEY (id);


-- The answer to /products/{id}/styles, for every product.
CREATE TABLE product_styles (
    product_id integer NOT NULL,
    body text NOT NULL
);
INSERT INTO product_styles
SELECT p.id, '{"product_id":"' || p.id || '","results":[' || coalesce(styles, '') || ']}'
FROM raw_products p
LEFT JOIN (
    SELECT product_id, string_agg('{"style_id":' || id || ',"name":' || to_json(name)
               || ',"original_price":' || to_json(original_price)
               || ',"sale_price":' || coalesce(to_json(sale_price)::text, 'null')
               || ',"default?":' || default_style
               || ',"photos":[' || coalesce(photos, '{"thumbnail_url":null,"url":null}')
               || '],"skus":{' || coalesce(skus, '"null":{"quantity":null,"size":null}') || '}}',
               ',' ORDER BY id) AS styles
    FROM raw_styles
    LEFT JOIN (
        SELECT style_id, string_agg('{"thumbnail_url":' || to_json(thumbnail_url) || ',"url":'
                   || to_json(url) || '}', ',' ORDER BY id) AS photos
        FROM raw_photos GROUP BY style_id
    ) p ON p.style_id = id
    LEFT JOIN (
        SELECT style_id, string_agg('"' || id || '":{"quantity":' || quantity || ',"size":'
                   || to_json(size) || '}', ',' ORDER BY id) AS skus
        FROM raw_skus GROUP BY style_id
    ) k ON k.style_id = id
    GROUP BY product_id
) s ON s.product_id = p.id
ORDER BY p.id;
ALTER TABLE product_styles ADD PRIMARY KEY (product_id);

DROP TABLE raw_products, raw_styles, raw_skus, raw_features, raw_related, raw_photos;
COMMIT;
VACUUM (ANALYZE, FREEZE) products, product_styles;
