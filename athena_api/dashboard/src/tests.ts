// The entry point of the unit tests: `npm test` builds it and runs it with node's test runner.

import.meta.glob("./**/*.test.ts", { eager: true });
