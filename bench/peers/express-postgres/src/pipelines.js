// Connections that many queries are under way on at once.
//
// A pool lends a connection to one query, which is a round trip: two processes wake each other for
// every request, and on one core that costs as much as the query. On a pipelined connection queries
// that have gathered go out together, and so do their answers. A few connections instead of one, so
// that a query that waits for the disk holds up only those behind it on its own.

import pg from 'pg';

const RETRY_MS = 500;

export async function pipelines(count) {
  const clients = [];
  const open = async (at) => {
    const client = new pg.Client({ pipeline: true });
    // Its queries fail until another one has taken its place.
    client.on('error', (error) => {
      console.error(error);
      reopen(at);
    });
    await client.connect();
    clients[at] = client;
  };
  const reopen = (at) => setTimeout(() => open(at).catch(() => reopen(at)), RETRY_MS);

  await Promise.all(Array.from({ length: count }, (_, at) => open(at)));
  let next = 0;
  return {
    query(query) {
      next = (next + 1) % count;
      return clients[next].query(query);
    },
    end: () => Promise.all(clients.map((client) => client.end())),
  };
}
