// The former names of modules, until no file imports them.

export { useEffect as useLayoutEffect, useEffect, useMemo, useRef, useSignal, useState } from "./component";
export * from "./signals";
