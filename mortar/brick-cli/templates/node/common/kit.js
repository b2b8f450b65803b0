// For tests: a brick in this process, and others mocked, on free ports.
import { listen } from './brick.js';

/** Routes that are served until the test ends. */
export async function running(test, routes) {
  const server = await listen(routes);
  test.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    url,
    /** Status and answer. */
    async ask(method, path, body) {
      const answer = await fetch(url + path, { method, body: body && JSON.stringify(body) });
      const text = await answer.text();
      const json = answer.headers.get('content-type')?.includes('json');
      return { status: answer.status, value: json ? JSON.parse(text) : text };
    },
  };
}

/** Another brick, found where the environment says. */
export async function mock(test, name, routes) {
  const { url } = await running(test, routes);
  process.env[`${name.toUpperCase().replaceAll('-', '_')}_URL`] = url;
}
