// The questions that are put to PostgreSQL: one statement each, prepared once for a connection.
//
// Each answers with one text, so that neither PostgreSQL, the driver nor Node spends time on columns,
// types and objects that would only become text again.

// The largest integer that PostgreSQL's type of ids holds.
export const ID_MAX = 2147483647;

const REVIEW = `'{"review_id":' || id || ',"rating":' || rating || ',"summary":' || to_json(summary)
  || ',"recommend":' || recommend || ',"response":' || coalesce(to_json(response)::text, 'null')
  || ',"body":' || to_json(body)
  || ',"date":"' || to_char(to_timestamp(date / 1000.0), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  || '","reviewer_name":' || to_json(reviewer_name) || ',"helpfulness":' || helpfulness
  || ',"photos":' || photos || '}'`;

const list = (order) => `SELECT string_agg(review, ',') FROM (
  SELECT ${REVIEW} AS review FROM reviews WHERE product_id = $1 AND NOT reported
  ORDER BY ${order} LIMIT $2 OFFSET $3) page`;

const STATEMENTS = {
  helpful: list('helpfulness DESC, date DESC, id DESC'),
  newest: list('date DESC, id DESC'),
  meta: 'SELECT body FROM review_meta WHERE product_id = $1',
  add: 'SELECT add_review($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
  vote: 'UPDATE reviews SET helpfulness = helpfulness + 1 WHERE id = $1 RETURNING 1',
  report: `WITH hidden AS (UPDATE reviews SET reported = true WHERE id = $1 AND NOT reported)
    SELECT 1 FROM reviews WHERE id = $1`,
  product: `SELECT '{"id":' || id || ',"name":' || to_json(name) || ',"slogan":' || to_json(slogan)
    || ',"description":' || to_json(description) || ',"category":' || to_json(category)
    || ',"default_price":' || to_json(default_price) || ',"features":' || features || '}'
    FROM products WHERE id = $1`,
  styles: 'SELECT body FROM product_styles WHERE product_id = $1',
  related: 'SELECT related::text FROM products WHERE id = $1',
};

export function store(reads, writes) {
  const ask = async (connections, name, values) => {
    const { rows } = await connections.query({
      name, text: STATEMENTS[name], values, rowMode: 'array',
    });
    return rows[0]?.[0];
  };
  return {
    list: async (product, newest, rows, offset) => (product <= ID_MAX
      && (await ask(reads, newest ? 'newest' : 'helpful', [product, rows, offset]))) || '',
    meta: async (product) =>
      (product <= ID_MAX && (await ask(reads, 'meta', [product]))) || noMeta(product),
    product: (id) => ask(reads, 'product', [id]),
    styles: (id) => ask(reads, 'styles', [id]),
    related: (id) => ask(reads, 'related', [id]),
    // The id of the new review; null where there is no such product, or it lacks a characteristic.
    add: (review) => ask(writes, 'add', Object.values(review)),
    helpful: (id) => ask(writes, 'vote', [id]),
    report: (id) => ask(writes, 'report', [id]),
  };
}

function noMeta(product) {
  return `{"product_id":"${product}","ratings":{},"recommended":{},"characteristics":{}}`;
}
