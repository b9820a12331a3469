// Types of the node modules that tests and the build use. Node's own types would change the types of browser timers.

declare module "node:test" {
  export function test(name: string, body: () => void): void;
}

declare module "node:assert/strict" {
  export function equal(actual: unknown, expected: unknown): void;
  export function deepEqual(actual: unknown, expected: unknown): void;
}

declare module "node:fs" {
  export function readFileSync(path: string): Uint8Array;
  export function writeFileSync(path: string, content: Uint8Array): void;
}

declare module "node:zlib" {
  export function brotliCompressSync(content: Uint8Array): Uint8Array;
}

declare module "node:process" {
  export function cpuUsage(): { readonly user: number };
}
