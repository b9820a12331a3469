// The entry of the unit tests: `npm test` builds it and gives it to node's runner.

import.meta.glob("./**/*.test.ts", { eager: true });
