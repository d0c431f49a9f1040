/** Owns a middleman that resets some connections instead of passing on what they ask. */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Resetting extends AsyncDisposable {
  readonly origin: string;
  /** Connections that were reset so far. */
  readonly resets: number;
}

/** Passes connections on to `port`; every `nth` is reset at its first byte. */
export async function resetting(port: number, nth: number): Promise<Resetting> {
  const sockets = new Set<Socket>();
  const state = { connections: 0, resets: 0 };
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((client) => {
    keep(client);
    if (++state.connections % nth === 0) {
      client.once("data", () => {
        state.resets++;
        client.resetAndDestroy();
      });
      return;
    }
    const behind = keep(connect(port, "127.0.0.1"));
    client.pipe(behind).pipe(client);
    behind.on("close", () => client.destroy());
    client.on("close", () => behind.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get resets() {
      return state.resets;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
