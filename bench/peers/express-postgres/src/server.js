// The program: connections, listener, signals. PGHOST and PostgreSQL's other variables say where the
// database is, PORT where to listen; port 0 is any free one.

import { createServer } from 'node:http';
import pg from 'pg';
import { app } from './app.js';
import { pipelines } from './pipelines.js';
import { store } from './store.js';

const reads = await pipelines(Number(process.env.READ_CONNECTIONS ?? 4));
// A write waits for the disk, and those that wait at once share one fsync: that takes a connection
// for each.
const writes = new pg.Pool({ max: Number(process.env.WRITE_CONNECTIONS ?? 16), idleTimeoutMillis: 0 });
writes.on('error', (error) => console.error(error));

const server = createServer(app(store(reads, writes)));
server.keepAliveTimeout = 75_000;
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', 4096, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

const stop = () => {
  server.close(() => Promise.all([reads.end(), writes.end()]));
  server.closeIdleConnections();
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
