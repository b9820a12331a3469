// The login: a token becomes a cookie that scripts cannot read. All tabs of a browser share it.

import { AthenaError, type Caller } from "@projectathena/client";
import { getCaller, logIn as login, logOut as logout } from "@projectathena/client/operations";
import { client, endsLogin, loggedOut, resumeReads } from "../server";
import { caller } from "./caller";

let channel: BroadcastChannel | undefined;

/** Return the token in a pasted text, without white space and the words around it. */
export function tokenIn(text: string): string {
  const whole = text.replace(/\s/g, ""); // a terminal may break the line
  return /ath_\w{26}_[\w-]{43}/.exec(whole)?.[0] ?? whole.replace(/^Bearer/i, "");
}

/** Return the fault of a token that cannot be sent. */
export function faultOf(token: string): string | undefined {
  if (!token) return "Paste a token.";
  return /^[\x21-\x7e]+$/.test(token) ? undefined : "A token has only letters, digits and punctuation of ASCII. Copy it again.";
}

/** Exchange a token for a session. Throws AthenaError. */
export async function logIn(token: string): Promise<void> {
  await client.request(login, { headers: { authorization: `Bearer ${token}` } });
  channel?.postMessage("login");
  await recheck();
}

/** End the session. Throws AthenaError. */
export async function logOut(): Promise<void> {
  try {
    await client.request(logout);
  } catch (error) {
    if (!(error instanceof AthenaError && endsLogin(error))) throw error;
  }
  channel?.postMessage("logout");
  location.reload(); // drops all data of the page
}

const rightsOf = ({ identity, role, scope }: Caller): string => JSON.stringify([identity, role, scope]);

/** Ask who the caller is now. The same caller continues on the page; another one gets a new page. */
export async function recheck(): Promise<void> {
  const before = caller.value;
  if (!before) return location.reload();
  try {
    const { data } = await client.request(getCaller);
    if (rightsOf(data) !== rightsOf(before)) return location.reload();
    caller.value = data;
    resumeReads();
  } catch (error) {
    if (!(error instanceof AthenaError)) throw error;
    if (endsLogin(error) || loggedOut.value) loggedOut.value = error;
  }
}

/** Learn of logins and logouts in other tabs, which share the cookie. */
export function shareLogins(): void {
  channel = new BroadcastChannel("athena-login");
  channel.addEventListener("message", () => void recheck());
}
