// A review as a client sends it: what is taken, and everything that is wrong with it.

import { ID_MAX } from './store.js';

export class Fault extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function draft(body, productInPath) {
  let given;
  try {
    given = JSON.parse(body);
  } catch {
    throw new Fault(400, 'the body is not JSON');
  }
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new Fault(400, 'the body is not a JSON object');
  }
  const faults = [];
  const must = (holds, what) => {
    if (!holds) faults.push(what);
  };
  const text = (value, name, min, max) => {
    must(typeof value === 'string' && value.length >= min && [...value].length <= max,
      `${name} must be a text of ${min} to ${max} characters`);
    return value;
  };

  const product = whole(given.product_id ?? productInPath);
  must(product > 0 && product <= ID_MAX, 'product_id must be a positive whole number');
  must(productInPath === undefined || product === productInPath,
    'product_id differs from the one in the path');
  const rating = whole(given.rating);
  must(rating >= 1 && rating <= 5, 'rating must be a whole number from 1 to 5');
  const recommend = { true: true, 1: true, false: false, 0: false }[String(given.recommend)];
  must(recommend !== undefined, 'recommend must be true or false');
  const summary = text(given.summary ?? '', 'summary', 0, 255);
  const told = text(given.body, 'body', 1, 10000);
  const name = text(given.name ?? given.reviewer_name, 'name', 1, 60);
  const email = text(given.email ?? given.reviewer_email, 'email', 1, 60);
  must(/^[^@\s]+@[^@\s]+$/.test(email), 'email must be an e-mail address');
  const photos = given.photos ?? [];
  must(Array.isArray(photos) && photos.length <= 5 && photos.every(isUrl),
    'photos must be at most 5 http or https URLs of at most 2000 characters');
  const ratings = Object.entries(given.characteristics ?? {}).filter(([, value]) => value !== null);
  const ids = ratings.map(([id]) => whole(id));
  const values = ratings.map(([, value]) => whole(value));
  must(ids.every((id) => id > 0 && id <= ID_MAX) && values.every((one) => one >= 1 && one <= 5),
    'characteristics must be whole numbers from 1 to 5 by their ids');

  if (faults.length > 0) throw new Fault(422, faults.join('; '));
  return { product, rating, recommend, summary, body: told, name, email, photos, ids, values };
}

function whole(value) {
  if (typeof value === 'string' && /^[0-9]+$/.test(value)) return Number(value);
  return Number.isInteger(value) ? value : NaN;
}

function isUrl(value) {
  return typeof value === 'string' && value.length <= 2000 && /^https?:\/\/[^\s/?#]\S*$/i.test(value);
}
