// Logging in: the form, the page without a caller, the dialog of a login that ended, and the button that ends one.

import { AthenaError } from "@projectathena/client";
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { notify } from "../components/notices";
import { Command, ErrorMessage } from "../components/ui";
import { endsLogin, loggedOut } from "../server";
import { caller } from "../state/caller";
import { now } from "../state/clock";
import { faultOf, logIn, logOut, recheck, tokenIn } from "../state/login";

const CREATE = "athena tokens create --identity NAME --role Operator --expires 90d";

/** The error of a caller without an identity: there is nothing to explain. */
const isMissing = ({ code }: AthenaError): boolean => code === "AUTH_TOKEN_MISSING" || code === "AUTH_IDENTITY_MISSING";

/** The form that takes a token. The field has no name and no value of this page's state, so that nothing keeps the token. */
function LoginForm(): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const [error, setError] = useState<AthenaError | string>();
  const [busy, setBusy] = useState(false);
  useLayoutEffect(() => field.current?.focus(), []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const token = tokenIn(field.current?.value ?? "");
    const fault = faultOf(token);
    setError(fault);
    if (fault) return field.current?.focus();
    setBusy(true);
    try {
      await logIn(token);
      if (field.current) field.current.value = "";
    } catch (failure) {
      if (!(failure instanceof AthenaError)) throw failure;
      setError(failure);
      field.current?.select();
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="login" method="post" onSubmit={(event) => void submit(event)}>
      <div class="field">
        <label>
          <span>Token</span>
          <input ref={field} type="password" autocomplete="off" spellcheck={false} required aria-describedby="token-hint" />
        </label>
        <small id="token-hint">It begins with ath_. It becomes a session of 12 hours at most, in a cookie that scripts cannot read.</small>
      </div>
      {typeof error === "string" ? (
        <p class="trouble" role="alert">
          {error}
        </p>
      ) : (
        error && <ErrorMessage error={error} />
      )}
      <footer>
        <button type="submit" class="primary" disabled={busy}>
          Log in
        </button>
      </footer>
      <p class="quiet">No token? An Admin creates one on the command line:</p>
      <Command line={CREATE} />
    </form>
  );
}

/** The page of callers without an identity, and of other errors before the first answer. */
export function SignIn({ error }: { error: AthenaError }): JSX.Element {
  const unknown = endsLogin(error);
  return (
    <main class="sign-in">
      <h1>{unknown ? "Log in to Athena" : "Cannot load the console"}</h1>
      {!isMissing(error) && <ErrorMessage error={error} />}
      {unknown ? (
        <>
          <LoginForm />
          <details>
            <summary>Sign in through a proxy instead</summary>
            <p>
              Put a proxy in front of Athena that signs users in and sends their name in the header <code>x-athena-identity</code>, and open the console at its
              address. For nginx, see docs/how-to/nginx.md; for others, docs/reference/security.md.
            </p>
          </details>
        </>
      ) : (
        <p>
          <button type="button" onClick={() => location.reload()}>
            Try again
          </button>
        </p>
      )}
    </main>
  );
}

/** The dialog over a page whose login ended. The page behind it keeps what was typed, and cannot be read. */
export function LoginDialog(): JSX.Element | null {
  const error = loggedOut.value;
  return error && caller.value ? <OpenLoginDialog error={error} identity={caller.value.identity} /> : null;
}

function OpenLoginDialog({ error, identity }: { error: AthenaError; identity: string }): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    element.current?.showModal();
    return () => element.current?.close(); // restores the focus
  }, []);
  const stay = (): void => {
    if (loggedOut.value && !element.current?.open) element.current?.showModal(); // some browsers close any dialog at a gesture
  };
  const isProxy = error.code === "INVALID_ANSWER";
  const isDenied = !isProxy && error.status === 403;
  return (
    <dialog ref={element} class="door" onCancel={(event) => event.preventDefault()} onClose={stay} aria-labelledby="login-title">
      <h2 id="login-title">{isProxy ? "Sign in again" : isDenied ? "Access ended" : "Log in again"}</h2>
      {isProxy ? (
        <p>
          The proxy in front of Athena no longer knows you.{" "}
          <a href="/" target="_blank" rel="noopener">
            Sign in in a new tab
          </a>
          , then try again here.
        </p>
      ) : isDenied ? (
        <ErrorMessage error={error} />
      ) : (
        <p role="alert">{endOf(error)}</p>
      )}
      <p class="quiet">If you continue as {identity}, nothing that you typed on this page is lost.</p>
      {isProxy || isDenied ? (
        <footer>
          <button type="button" onClick={() => void recheck()}>
            Try again
          </button>
        </footer>
      ) : (
        <LoginForm />
      )}
    </dialog>
  );
}

/** Return why the login ended. */
function endOf({ code, message }: AthenaError): string {
  const expiresAt = caller.value?.token?.expiresAt;
  if (code === "AUTH_TOKEN_EXPIRED" || (expiresAt && Date.parse(expiresAt) <= now.value)) return "Your session has expired.";
  if (code === "AUTH_TOKEN_INVALID" || caller.value?.token) return "You are logged out: the session was ended, or its token was revoked.";
  return message;
}

/** The button that ends a session. Absent where a proxy or nothing says who asks. */
export function LogOut(): JSX.Element | null {
  const [busy, setBusy] = useState(false);
  if (!caller.value?.token?.session) return null;
  const act = (): void => {
    setBusy(true);
    logOut().catch((error: unknown) => {
      if (!(error instanceof AthenaError)) throw error;
      notify(`Log out: ${error.code}: ${error.message}`, true);
      setBusy(false);
    });
  };
  return (
    <button type="button" class="small" disabled={busy} onClick={act}>
      Log out
    </button>
  );
}
