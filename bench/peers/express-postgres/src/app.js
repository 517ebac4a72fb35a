// The API: routes, and how what the database says becomes an answer.

import express from 'express';
import { Fault, draft } from './draft.js';
import { ID_MAX } from './store.js';

const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';
const COUNT_MAX = 5000;
const BODY_MAX = 64 * 1024;

export function app(store) {
  const app = express();
  app.disable('x-powered-by');
  // Express would hash every answer for it.
  app.disable('etag');

  const body = express.text({ type: () => true, limit: BODY_MAX });

  // A product's reviews, what they say together, and a new one; in both spellings.
  const list = async (req, res, product) => {
    const { page, count, sort } = req.query;
    const rows = Math.min(whole(count, 5, 'count'), COUNT_MAX);
    const from = Math.max(whole(page, 1, 'page') - 1, 0);
    const offset = Math.min(from * rows, Number.MAX_SAFE_INTEGER);
    const results = await store.list(product, first(sort) === 'newest', rows, offset);
    json(res, `{"product":"${product}","page":${from},"count":${rows},"results":[${results}]}`);
  };
  const meta = async (req, res, product) => json(res, await store.meta(product));
  const add = async (req, res, product) => {
    const review = draft(req.body, product);
    const id = await store.add(review);
    if (id === null) {
      throw new Fault(422, `there is no product ${review.product}, or it lacks a characteristic`);
    }
    answer(res.setHeader('Location', `/reviews/${id}`), 201, TEXT_TYPE, 'Created');
  };
  app.get('/reviews', (req, res) => list(req, res, productId(first(req.query.product_id))));
  app.get('/reviews/meta', (req, res) => meta(req, res, productId(first(req.query.product_id))));
  app.get('/reviews/:product/list', (req, res) => list(req, res, productId(req.params.product)));
  app.get('/reviews/:product/meta', (req, res) => meta(req, res, productId(req.params.product)));
  app.post('/reviews', body, (req, res) => add(req, res, undefined));
  app.post('/reviews/:product', body, (req, res) => add(req, res, productId(req.params.product)));

  const change = (deed) => async (req, res) => {
    const id = number(req.params.review, () => new Fault(422, 'invalid review_id provided'));
    if (id > ID_MAX || !(await deed(id))) throw new Fault(404, `there is no review ${id}`);
    res.writeHead(204).end();
  };
  app.put(['/reviews/helpful/:review', '/reviews/:review/helpful'], change(store.helpful));
  app.put(['/reviews/report/:review', '/reviews/:review/report'], change(store.report));

  // The catalogue: the database holds each answer as it goes out.
  const part = (of) => async (req, res) => {
    const id = productId(req.params.product);
    const text = id > ID_MAX ? undefined : await of(id);
    if (text === undefined) throw new Fault(404, `there is no product ${id}`);
    json(res, text);
  };
  app.get('/products/:product', part(store.product));
  app.get('/products/:product/styles', part(store.styles));
  app.get('/products/:product/related', part(store.related));

  app.use((req) => {
    throw new Fault(404, `nothing is served at ${req.path}`);
  });
  app.use((error, req, res, next) => {
    if (res.headersSent) return next(error);
    // Faults of ours, and those that Express finds, say their status.
    const status = error.status ?? 500;
    if (status >= 500) console.error(error);
    const said = status >= 500 ? 'something failed here' : error.message;
    answer(res, status, TEXT_TYPE, `Error: ${said}`);
  });
  return app;
}

function json(res, text) {
  answer(res, 200, JSON_TYPE, text);
}

// Past Express's own res.send(), which looks at types and freshness that are known here.
function answer(res, status, type, text) {
  res.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) });
  res.end(text);
}

function productId(text) {
  const invalid = () => new Fault(422, 'invalid product_id provided');
  const id = number(text, invalid);
  if (id === 0) throw invalid();
  return id;
}

function whole(text, usual, name) {
  if (text === undefined) return usual;
  return number(first(text), () => new Fault(422, `invalid ${name} provided`));
}

function number(text, fault) {
  if (text === undefined || !/^[0-9]{1,15}$/.test(text)) throw fault();
  return Number(text);
}

// A parameter that is given twice is a list; the first counts.
function first(value) {
  return Array.isArray(value) ? value[0] : value;
}
