/**
 * A long way: relays that hold every byte back by half a journey, each way, and a connection by a whole one. Run as a
 * process of its own: `node bench/relay.ts '{"ports":[…],"journey":20}'`; it prints one JSON line with a
 * port for each, and ends with its standard input.
 */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Way {
  readonly ports: readonly number[];
  /** Milliseconds there and back. */
  readonly journey: number;
}

/** Hands on what comes, in order, each piece half a journey after it came. */
function handOn(from: Socket, to: Socket, half: number): void {
  const held: { readonly chunk: Buffer | undefined; readonly at: number }[] = [];
  let bytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const pass = () => {
    timer = undefined;
    for (let next = held[0]; next && next.at <= performance.now(); next = held[0]) {
      held.shift();
      if (next.chunk === undefined) to.end();
      else {
        bytes -= next.chunk.length;
        to.write(next.chunk);
      }
    }
    if (bytes < MOST && from.isPaused() && to.writableLength < MOST) from.resume();
    plan();
  };
  const plan = () => {
    const next = held[0];
    if (next && !timer) timer = setTimeout(pass, Math.max(0, next.at - performance.now()));
  };
  const hold = (chunk: Buffer | undefined) => {
    held.push({ chunk, at: performance.now() + half });
    bytes += chunk?.length ?? 0;
    if (bytes + to.writableLength >= MOST) from.pause();
    plan();
  };
  from.on("data", hold);
  from.on("end", () => hold(undefined));
  from.on("error", () => to.destroy());
  from.on("close", () => hold(undefined));
  to.on("drain", () => {
    if (bytes < MOST) from.resume();
  });
}

/** Bytes on their way in one direction: 20 ms of 3 Gbit/s. */
const MOST = 8 * 1024 * 1024;

const { ports, journey } = JSON.parse(process.argv[2] ?? "{}") as Way;
const made: number[] = [];
for (const port of ports) {
  const server = createServer(
    { noDelay: true, allowHalfOpen: true, pauseOnConnect: true },
    (near) => {
      setTimeout(() => {
        const far = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
        handOn(near, far, journey / 2);
        handOn(far, near, journey / 2);
        near.resume();
      }, journey);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 1024, resolve));
  made.push((server.address() as AddressInfo).port);
}
console.log(JSON.stringify(made));
process.stdin.resume().on("end", () => process.exit(0));
