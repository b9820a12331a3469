"""Reviews: persona runs from the request over the runs of their models to the files that they leave."""

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from anyio import to_thread
from msgspec.structs import replace

from athena_core.clock import Ids, iso
from athena_core.decider import Context, Key, Outcome, Reader, Rejected, facts_of, fold
from athena_core.domain import review, run
from athena_core.errors import AthenaError, ConfigError, NotFound
from athena_core.event import Event, Fact, Meta, Recorded
from athena_core.log.port import StoreReader
from athena_core.log.tail import Tail
from athena_core.log.writer import Committed, Log
from athena_core.protocols import Row
from athena_core.providers.mask import Mask
from athena_core.services.access.access import Access
from athena_core.services.context.conversation import cut
from athena_core.services.reviews import preparation
from athena_core.services.reviews.definitions import CONTEXT_FILE_BYTES_MAX, LoadedPersona, PersonaFiles
from athena_core.services.reviews.git import Repository
from athena_core.services.runs.runs import PreparedRun, Runs, cancel_note, run_error
from athena_core.services.states import committed
from athena_core.services.waiters import OneShot, Waiters
from athena_core.settings import Settings
from athena_core.system import private_file
from athena_core.text import clean
from athena_core.tools.refusal import PathRefused, ToolRefused
from athena_core.tools.workspace import Parts, Workspace, parts_of
from athena_core.values import Body, ClientId, Identity, Label, PersonaStdout, RunBody, pinned, unpinned

BEGINNING_TYPES = frozenset({review.PersonaRunStarted.TYPE, review.PersonaRunRepairRequested.TYPE})
ENDED_TYPES = frozenset({review.PersonaRunCompleted.TYPE, review.PersonaRunFailed.TYPE})
WAIT_GRACE_SECONDS = 30.0
OPERATION = "runPersona"
PROMPT_SHARE = 0.9
"""Which part of the largest context a prompt may have; the rest is for what a run is reminded of."""


class PersonaRunBody(Body):
    """Which persona reviews what (contract 4.13); paths are relative to the workspace."""

    name: ClientId
    repo_path: Label
    head_ref: Label
    base_ref: Label | None = None
    session_id: ClientId | None = None
    provider: Label | None = None
    model: Label | None = None
    out_json_path: Label | None = None
    out_markdown_path: Label | None = None
    stdout: PersonaStdout | None = None


class Reviews:
    """Begins persona runs, waits for them, and as a reactor sees them to their end."""

    name = "reviews"
    types = run.ENDING_TYPES | BEGINNING_TYPES

    def __init__(
        self,
        log: Log,
        reader: StoreReader,
        tail: Tail,
        runs: Runs,
        personas: PersonaFiles,
        access: Access,
        settings: Settings,
        ids: Ids,
        mask: Mask,
        workspace: Workspace,
    ) -> None:
        """Take the parts."""
        self._log = log
        self._reader = reader
        self._runs = runs
        self._personas = personas
        self._access = access
        self._ids = ids
        self._mask = mask
        self._root = settings.workspace_root
        self._state_dir = settings.state_dir
        self._workspace = workspace
        self._following: dict[str, str] = {}
        self._waiters = Waiters[str, OneShot](OneShot)
        tail.subscribe(self._notice, ENDED_TYPES | {run.RunPaused.TYPE})

    # Beginning

    async def start(self, body: PersonaRunBody, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Have a review begin; the subject is the id of its run.

        Raises ConfigError for a wrong persona, repository or reference, and what the start of a run raises; each of
        these is recorded.
        """
        folder: Path | None = None
        try:
            launch, started, folder = await self._prepare(body, who)
        except AthenaError as error:
            await self._refuse(self._ids.new("run"), body, error, meta)
            raise
        run_id, session_id = launch.run_id, launch.session_id

        def start(reader: Reader, context: Context) -> Outcome:
            fact = Fact(stream=review.stream(run_id), event=started, session_id=session_id, run_id=run_id)
            try:
                return Outcome(facts=(fact, *launch.admit(reader, context, 1)), subject=run_id)
            except Rejected as refusal:
                failed = replace(fact, event=self._failed(body, refusal.error))
                raise Rejected(refusal.error, (*refusal.facts, failed)) from None

        mine = False
        try:
            done = await self._runs.launch(launch, meta, key, start)
            mine = done.subject == run_id
        finally:
            if not mine:
                await to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
        return done

    async def _refuse(self, run_id: str, body: PersonaRunBody, error: AthenaError, meta: Meta) -> None:
        fact = Fact(stream=review.stream(run_id), event=self._failed(body, error), session_id=body.session_id)

        def refuse(reader: Reader, context: Context) -> Outcome:
            raise Rejected(error, (fact,))

        await self._log.submit(refuse, meta)

    def _failed(self, body: PersonaRunBody, error: AthenaError) -> review.PersonaRunFailed:
        return review.PersonaRunFailed(
            persona_name=body.name,
            repo_path=body.repo_path,
            head_ref=body.head_ref,
            base_ref=body.base_ref,
            error_text=self._mask.hide(clean(error.message))[:500],
        )

    async def _prepare(self, body: PersonaRunBody, who: Identity) -> tuple[PreparedRun, review.PersonaRunStarted, Path]:
        """Everything that may be wrong with a request is found here, before anything is recorded."""
        definition = await to_thread.run_sync(self._personas.read, body.name, "name")
        spec = definition.persona
        out_json = self._out(body.out_json_path or spec.output.write_json_file, "outJsonPath")
        out_markdown = self._out(body.out_markdown_path or spec.output.write_markdown_file, "outMarkdownPath")
        directory = await to_thread.run_sync(self._directory, body.repo_path)
        async with Repository.open(directory, self._root, "repoPath", self._state_dir) as repository:
            head = await repository.commit(body.head_ref, "headRef")
            base_ref, found_by, base = await self._base(repository, body, definition)
            if spec.git.require_clean_worktree:
                dirty = await repository.dirty(self._own(body.repo_path))
                if dirty:
                    more = f" and {len(dirty) - 1} more" if len(dirty) > 1 else ""
                    remedy = "a clean worktree, or git.requireCleanWorktree false in the definition"
                    raise ConfigError.of("repoPath", f"the worktree is not clean: {dirty[0]}{more}", remedy)
            place = await self._place(repository)
            prepared, diff = await self._show(repository, place, definition, body.head_ref, base_ref, base, head)
        named = body.provider is not None or body.model is not None
        profile = None if named else spec.harness_profile_id
        asked = RunBody(
            session_id=body.session_id,
            input=prepared.prompt,
            harness_profile_id=profile,
            provider=body.provider,
            model=body.model,
            metadata={"personaName": body.name, "trigger": "persona-run"},
        )
        launch = self._runs.prepare(asked, who)
        started = review.PersonaRunStarted(
            persona_name=body.name,
            repo_path=body.repo_path,
            head_ref=body.head_ref,
            base_ref=base_ref,
            base_ref_resolved_from=found_by,
            head_commit=head,
            base_commit=base,
            files=len(prepared.changed),
            requested_by=who.subject,
            stdout=body.stdout or spec.output.stdout_default or "summary",
            harness_profile_id=profile,
            provider=body.provider,
            model=body.model,
            out_json_path=out_json,
            out_markdown_path=out_markdown,
            scope=pinned(who.scope),
            prepared=msgspec.json.encode(replace(prepared, prompt="")).decode(),
        )
        folder = self._folder(launch.run_id)
        await to_thread.run_sync(_write, folder, {"diff.patch": diff})
        return launch, started, folder

    def _directory(self, path: str) -> Path:
        """A directory of the workspace. Raises ConfigError."""
        parts = self._inside(path, "repoPath")
        try:
            with self._workspace.directory(parts):
                return self._root.joinpath(*parts)
        except PathRefused as refusal:
            raise ConfigError.of("repoPath", refusal.problem, "a repository in the workspace") from refusal
        except OSError as error:
            raise ConfigError.of("repoPath", f"{path!r} cannot be opened: {error.strerror}") from error

    def _inside(self, path: str, field: str) -> Parts:
        """The names in a path of the workspace; an absolute one may lead into it, too. Raises ConfigError."""
        if field == "repoPath" and path.startswith("/"):
            with_root = Path(path)
            for root in (self._root, self._root.resolve()):
                if with_root.is_relative_to(root):
                    path = with_root.relative_to(root).as_posix()
                    break
        try:
            return parts_of(path)
        except PathRefused as refusal:
            raise ConfigError.of(field, refusal.problem, "a path inside the workspace") from refusal

    def _own(self, repo_path: str) -> tuple[str, ...]:
        """What is ours in a repository, and no change of anybody: the state directory."""
        top = self._root.joinpath(*self._inside(repo_path, "repoPath")).resolve()
        state = self._state_dir.resolve()
        return (".athena", *((state.relative_to(top).as_posix(),) if state.is_relative_to(top) else ()))

    def _out(self, path: str | None, field: str) -> str | None:
        if path is None:
            return None
        parts = self._inside(path, field)
        if not parts:
            raise ConfigError.of(field, f"{path!r} is no place for a report", "a file in the workspace")
        try:
            self._workspace.check(parts, write=True)
        except PathRefused as refusal:
            raise ConfigError.of(field, refusal.problem, "another file in the workspace") from refusal
        return "/".join(parts)

    async def _base(
        self, repository: Repository, body: PersonaRunBody, definition: LoadedPersona
    ) -> tuple[str, Any, str]:
        """What the head is compared with, how that was found out, and its commit."""
        git = definition.persona.git
        if body.base_ref is not None:
            return body.base_ref, "flag", await repository.commit(body.base_ref, "baseRef")
        try:
            return git.base_ref_default, "main", await repository.commit(git.base_ref_default, "baseRef")
        except ConfigError:
            origin = await repository.origin_head() if git.base_ref_autodetect else None
            if origin is None:
                raise
            return origin, "origin-head", await repository.commit(origin, "baseRef")

    async def _show(
        self,
        repository: Repository,
        place: Parts,
        definition: LoadedPersona,
        head_ref: str,
        base_ref: str,
        base: str,
        head: str,
    ) -> tuple[preparation.Prepared, str]:
        """What the persona is shown, and the whole diff; of files that are closed only the names."""
        spec = definition.persona
        globs = tuple(f":(top,glob){glob}" for glob in spec.review.include_globs)
        globs += tuple(f":(top,exclude,glob){glob}" for glob in spec.review.exclude_globs)
        fork = await repository.fork(base, head)
        changed = await repository.changed(fork, head, globs)
        closed = {found[0][len(place) :] for _, path in changed if (found := self._closed(place, path)) is not None}
        globs += tuple(f":(top,exclude,glob){_glob(parts)}{end}" for parts in sorted(closed) for end in ("", "/**"))
        diff, was_cut = await repository.diff(fork, head, globs)
        diff = self._mask.hide_cut(clean(diff)) if was_cut else self._mask.hide(clean(diff))
        diff += "".join(f"[{clean('/'.join(parts))} changed and is closed: not shown]\n" for parts in sorted(closed))
        files = await to_thread.run_sync(self._read_context, definition)
        visible = [(how, path) for how, path in changed if self._closed(place, path) is None]
        snapshots = await self._snapshots(repository, definition, head, visible)
        files += [("changed", one.path, one.content, one.truncated) for one in snapshots]
        room = int(self._runs.compiler.chars_max * PROMPT_SHARE)
        told = [(kind, path, content) for kind, path, content, _ in files]
        prompt, shown = preparation.prompt(spec, head_ref, base_ref, told, changed, diff, room)
        manifest = [
            preparation.ContextFile(
                path=path, kind=kind, chars=len(content), sha256=preparation.mark(content), truncated=shortened
            )
            for kind, path, content, shortened in files
        ]
        less = was_cut or shown < len(diff)
        whole = preparation.ContextFile(
            path="diff.patch", kind="diff", chars=shown, sha256=preparation.mark(diff), truncated=less
        )
        prepared = preparation.Prepared(
            prompt=self._mask.hide(prompt),
            context=(*manifest, whole),
            snapshots=tuple(snapshots),
            changed=tuple(clean(path) for _, path in changed),
            diff_sha256=preparation.mark(diff),
            diff_bytes=len(diff.encode(errors="replace")),
        )
        return prepared, diff

    def _read_context(self, definition: LoadedPersona) -> list[tuple[str, str, str, bool]]:
        """The files of the definition: kind, path, content, whether that was cut. Raises ConfigError."""
        spec = definition.persona.context
        wanted = [("prompt", name) for name in spec.prompt_files]
        wanted += [("skill", name) for name in spec.skill_files]
        wanted += [("doc", name) for name in spec.doc_files]
        wanted += [("workspace-doc", name) for name in spec.workspace_doc_files]
        found: list[tuple[str, str, str, bool]] = []
        left = spec.max_total_chars
        for kind, name in wanted:
            try:
                if kind == "workspace-doc":
                    parts = parts_of(name)
                    data = self._workspace.read(parts, CONTEXT_FILE_BYTES_MAX, "Name a smaller file.")
                else:
                    parts, data = self._personas.context(definition, name)
            except (OSError, ToolRefused) as error:
                raise ConfigError.of("name", f"{name!r} of the definition cannot be read: {error}") from error
            text = self._mask.hide(clean(data.decode(errors="replace")))
            kept = cut(text, min(spec.max_file_chars, left)) if left > 0 else ""
            left -= len(kept)
            found.append((kind, "/".join(parts), kept, len(kept) < len(text)))
        return found

    async def _snapshots(
        self, repository: Repository, definition: LoadedPersona, head: str, changed: Sequence[tuple[str, str]]
    ) -> list[preparation.Snapshot]:
        """Changed files as they are in the head, as many as the definition wants."""
        spec = definition.persona.review
        found: list[preparation.Snapshot] = []
        for how, path in changed:
            if len(found) >= spec.max_referenced_files:
                break
            if how == "D":
                continue
            text, was_cut = await repository.file(head, path, spec.max_referenced_file_chars * 4)
            text = self._mask.hide_cut(clean(text)) if was_cut else self._mask.hide(clean(text))
            kept = cut(text, spec.max_referenced_file_chars)
            found.append(
                preparation.Snapshot(path=clean(path), content=kept, truncated=was_cut or len(kept) < len(text))
            )
        return found

    async def _place(self, repository: Repository) -> Parts:
        """Where the paths of a repository begin, from the workspace."""
        top = Path((await repository.ask("rev-parse", "--show-toplevel")).text)
        return top.resolve().relative_to(self._root.resolve()).parts

    def _closed(self, place: Parts, path: str) -> tuple[Parts, str] | None:
        """What of the workspace's path of a file in a repository is closed, and why."""
        return self._workspace.closed((*place, *path.split("/")))

    # Waiting

    def _notice(self, rows: Sequence[Row]) -> None:
        """Wake whoever waits for a review that ended, or whose run was paused."""
        for row in rows:
            self._waiters.wake(row.run_id or "")

    async def settled(self, key: str) -> None:
        """Return once a review has ended, or its run is paused, or after as long as its runs may take."""
        with self._waiters.wait(key) as waiter:
            if self.state(key).status != "running":
                return
            request = self._runs.state(key).request
            seconds = 2 * (request.timeout_ms if request else 0) / 1000 + WAIT_GRACE_SECONDS
            await waiter.within(seconds)

    def state(self, key: str) -> review.ReviewState:
        """Where a review is, as committed."""
        return committed(self._log, self._reader, review.DECIDER, review.stream(key))

    def outcome(self, key: str) -> tuple[Any, PersonaStdout, int] | None:
        """The result of a review that ended as decoded JSON, how it is printed, and its position.

        None while it is at work. Raises NotFound once it was erased.
        """
        form: PersonaStdout = "summary"
        for row in self._reader.stream(review.stream(key)):
            match self._log.codec.decode(row).event:
                case review.PersonaRunStarted(stdout=form):
                    pass
                case review.PersonaRunCompleted(result=str(text)):
                    return msgspec.json.decode(text), form, row.position
                case review.PersonaRunCompleted():
                    raise NotFound(f"the result of review {key!r} was erased")
        return None

    # Seeing to the end (``reactor.Reactor``)

    def open(self, reader: StoreReader) -> Iterable[str]:
        """The reviews that are at work."""
        found = {str(waits[0]): key for _, key, waits in reader.guards("review")}
        self._following.update(found)  # some may have been added meanwhile
        return list(found.values())

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """The reviews that began or are to be repaired, and those whose run has ended."""
        for row in rows:
            if row.type in BEGINNING_TYPES:
                key = row.stream.removeprefix(review.PREFIX)
                self._following[row.run_id or ""] = key
                yield key
            elif row.stream in self._following:
                yield self._following.pop(row.stream)

    async def act(self, key: str) -> float | None:
        """End the review if its model has answered, or ask it once more."""
        recorded = [self._log.codec.decode(row) for row in self._reader.stream(review.stream(key))]
        state = fold(review.DECIDER, (one.event for one in recorded))
        began = recorded[0] if recorded else None
        if state.status != "running" or began is None or not isinstance(began.event, review.PersonaRunStarted):
            return None
        waits_for = state.run_id or key
        if self._runs.state(waits_for).open:
            return None
        said, problem, answer = self._answer(waits_for)
        if answer is None and problem is not None and not state.repaired:
            refused = await self._repair(key, began, problem, said)
            if refused is None:
                return None
            problem = f"{problem}; and it could not be asked again: {refused}"
        await self._finish(key, began, waits_for if state.repaired else None, said, problem, answer)
        return None

    def _answer(self, run_id: str) -> tuple[str, str | None, preparation.Answer | None]:
        """What a run said, what is wrong with it (None: the run itself failed), and the answer that it is."""
        said, completed = "", False
        for one in self._runs.recorded(run_id):
            match one.event:
                case run.TranscriptAppended(role="assistant", kind="message"):
                    said = one.event.content or ""
                case run.RunCompleted():
                    completed = True
        if not completed:
            return said, None, None
        try:
            return said, None, preparation.read(said, self._mask)
        except ValueError as error:
            return said, str(error), None

    async def _repair(self, key: str, began: Recorded[Event], problem: str, said: str) -> str | None:
        """Ask the model once more; why not, if it cannot be asked."""
        started = began.event
        assert isinstance(started, review.PersonaRunStarted)
        who = self._access.on_behalf(started.requested_by, unpinned(started.scope))
        if not self._access.allows(who, OPERATION):
            return f"{who.subject} may not do it any more"
        asked = RunBody(
            session_id=began.session_id,
            input=preparation.repair(problem, said),
            harness_profile_id=started.harness_profile_id,
            provider=started.provider,
            model=started.model,
            metadata={"personaName": started.persona_name, "trigger": "persona-run", "repairOf": key},
        )
        meta = _meta(began)
        try:
            launch = self._runs.prepare(asked, who)
            requested = review.PersonaRunRepairRequested(
                persona_name=started.persona_name, repair_run_id=launch.run_id, problem=problem
            )

            def repair(reader: Reader, context: Context) -> Outcome:
                stream = review.stream(key)
                events = review.decide(requested, reader.state(review.DECIDER, stream), context)
                if not events:
                    return Outcome()
                facts = facts_of(stream, events, session_id=began.session_id, run_id=launch.run_id)
                return Outcome(facts=(*facts, *launch.admit(reader, context, len(facts))), subject=launch.run_id)

            await self._runs.launch(launch, meta, None, repair)
        except AthenaError as error:
            if error.retryable:
                raise
            return error.message
        return None

    async def _finish(
        self,
        key: str,
        began: Recorded[Event],
        repair_run_id: str | None,
        said: str,
        problem: str | None,
        answer: preparation.Answer | None,
    ) -> None:
        """Write the files, then record the end: who reads of it finds them."""
        last = self._runs.recorded(repair_run_id or key)
        result = self._result(key, began, last, repair_run_id, said, problem, answer)
        result = await to_thread.run_sync(self._leave, result)
        counts = {name: sum(found.priority == name for found in result.findings) for name in ("P1", "P2", "P3")}
        ended = next((one.event for one in last if isinstance(one.event, run.RunCompleted)), None)
        completed = review.PersonaRunCompleted(
            persona_name=result.persona_name,
            status=result.status,
            merge_gate=result.merge_gate,
            p1=counts["P1"],
            p2=counts["P2"],
            p3=counts["P3"],
            repaired=repair_run_id is not None,
            artifacts=result.artifacts,
            provider=ended.provider if ended else None,
            model=ended.model if ended else None,
            usage=result.usage,
            result=msgspec.json.encode(result).decode(),
        )

        def finish(reader: Reader, context: Context) -> Outcome:
            stream = review.stream(key)
            events = review.decide(completed, reader.state(review.DECIDER, stream), context)
            return Outcome(facts=facts_of(stream, events, session_id=began.session_id, run_id=key))

        await self._log.submit(finish, _meta(began))

    def _result(
        self,
        key: str,
        began: Recorded[Event],
        last: Sequence[Recorded[Event]],
        repair_run_id: str | None,
        said: str,
        problem: str | None,
        answer: preparation.Answer | None,
    ) -> preparation.ReviewResult:
        """The result, from what is recorded alone: whoever makes it makes the same."""
        started = began.event
        assert isinstance(started, review.PersonaRunStarted)
        shown = None if started.prepared is None else msgspec.json.decode(started.prepared, type=preparation.Prepared)
        ended = next((one for one in last if one.type in run.ENDING_TYPES), last[-1])
        done = ended.event if isinstance(ended.event, run.RunCompleted) else None
        usage = done.usage if done else None
        if repair_run_id is not None:
            for one in self._runs.recorded(key):
                if isinstance(one.event, run.RunCompleted) and one.event.usage is not None:
                    usage = one.event.usage if usage is None else one.event.usage.plus(usage)
        message = None
        if problem is not None:
            message = f"the answer of the model could not be read: {problem}"
        elif answer is None:
            message = run_error(repair_run_id or key, ended.event, cancel_note(one.event for one in last)).message
        artifacts = preparation.artifacts_of(key, started)
        evidence: tuple[preparation.EvidenceFile, ...] = ()
        if shown is not None:
            evidence = (
                preparation.EvidenceFile(
                    id="diff",
                    label="What changed",
                    sha256=shown.diff_sha256,
                    artifact_path=f"{artifacts.audit_dir}/diff.patch",
                    type="text",
                    size_bytes=shown.diff_bytes,
                    created_at=iso(began.at),
                ),
            )
        context = shown.context if shown else ()
        changed = shown.changed if shown else ()
        return preparation.ReviewResult(
            schema_version=1,
            run_id=key,
            persona_name=started.persona_name,
            session_id=began.session_id or "",
            status="ok" if answer else "failed",
            started_at=iso(began.at),
            finished_at=iso(ended.at),
            findings=answer.findings if answer else (),
            merge_gate=preparation.gate(answer) if answer else "fail",
            report_markdown=answer.report_markdown if answer else f"# The review failed\n\n{message}\n",
            repo_path=started.repo_path,
            head_ref=started.head_ref,
            base_ref=started.base_ref,
            base_ref_resolved_from=started.base_ref_resolved_from,
            artifacts=artifacts,
            context_manifest=context,
            referenced_file_meta=tuple(one for one in context if one.kind == "changed"),
            referenced_file_snapshots=shown.snapshots if shown else (),
            evidence_manifest=evidence,
            dependency_inspection=preparation.dependencies(changed, answer.dependency_inspection if answer else None),
            model_output_raw=said,
            model_output_parsed=answer,
            parse_retry_attempted=repair_run_id is not None,
            parse_error=problem,
            repair_run_id=repair_run_id,
            usage=usage,
            context_meta=done.context_meta if done else None,
            error=None if message is None else preparation.ReviewError(message=message),
        )

    # Files

    def _folder(self, key: str) -> Path:
        return self._state_dir / review.FOLDER / key

    def _leave(self, result: preparation.ReviewResult) -> preparation.ReviewResult:
        """Write the files of a result; one that cannot be written into the workspace fails it."""
        places = result.artifacts
        try:
            if places.out_markdown_path is not None:
                self._put(places.out_markdown_path, result.report_markdown)
            if places.out_json_path is not None:
                self._put(places.out_json_path, _pretty(result))
        except (OSError, ToolRefused) as error:
            alone = replace(places, out_json_path=None, out_markdown_path=None)
            told = preparation.ReviewError(message=f"the report could not be written into the workspace: {error}")
            result = replace(result, status="failed", artifacts=alone, error=told)
        _write(self._folder(result.run_id), {"report.md": result.report_markdown, "result.json": _pretty(result)})
        return result

    def _put(self, path: str, text: str) -> None:
        self._workspace.write(parts_of(path), text.encode(errors="replace"))


def _glob(parts: Parts) -> str:
    """A pattern of git for one path; U+FFFD stands for bytes that are not UTF-8."""
    return re.sub(r"[*?\[\\]", r"\\\g<0>", "/".join(parts)).replace("\ufffd", "*")


def _meta(began: Recorded[Event]) -> Meta:
    return Meta(actor="system:reviews", correlation=began.correlation, causation=began.position)


def _pretty(result: preparation.ReviewResult) -> str:
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n"


def _write(folder: Path, files: dict[str, str]) -> None:
    private_file.make_directory(folder, folder.parents[1])
    for name, text in files.items():
        private_file.write(folder / name, text.encode("utf-8", "replace"))
