import { autocompletion, closeBrackets, closeBracketsKeymap, closeCompletion, completionKeymap, type Completion, type CompletionSource } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { MariaSQL, MySQL, PLSQL, MSSQL, PostgreSQL, SQLite, StandardSQL, sql, type SQLDialect, type SQLNamespace } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { TableInfo } from "./api.ts";
import { fromBytes } from "./format.ts";
import { identifier } from "./names.ts";

const DIALECTS: Record<string, SQLDialect> = { postgresql: PostgreSQL, mysql: MySQL, mariadb: MariaSQL, sqlite: SQLite, sqlserver: MSSQL, oracle: PLSQL };

const look = EditorView.theme({
  "&": { height: "100%", fontSize: "13.5px", backgroundColor: "transparent", color: "var(--text)" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--text)", padding: "10px 0" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--faint)", border: "none" },
  ".cm-activeLine": { backgroundColor: "var(--line-tint)" },
  "&.cm-focused": { outline: "none" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--selection) !important" },
  ".cm-tooltip": { backgroundColor: "var(--panel)", color: "var(--text)", border: "1px solid var(--border)", borderRadius: "6px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "4px" },
  ".cm-placeholder": { color: "var(--faint)" },
});

const colors = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--syntax-keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--syntax-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--syntax-number)" },
  { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
  { tag: tags.typeName, color: "var(--syntax-type)" },
]);

/** The editor lives in a shadow root: there its styles are constructed sheets, which the page's content security
 * policy allows, where a style element would not be. */
export class Editor {
  readonly element = document.createElement("div");
  private view: EditorView;
  private language = new Compartment();
  private type = "";

  constructor(label: string, hint: string, run: () => void, cancel: () => void, changed: (text: string) => void) {
    this.element.className = "editor";
    const root = this.element.attachShadow({ mode: "open" });
    this.view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        extensions: [
          Prec.highest(keymap.of([{ key: "Mod-Enter", run: (view) => (closeCompletion(view), run(), true) }])),
          keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap, { key: "Escape", run: () => (cancel(), true) }]),
          lineNumbers(),
          history(),
          drawSelection(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ icons: false }),
          highlightActiveLine(),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": label }),
          placeholder(hint),
          look,
          syntaxHighlighting(colors),
          this.language.of(sql({ dialect: StandardSQL })),
          EditorView.updateListener.of((u) => u.docChanged && changed(u.state.doc.toString())),
        ],
      }),
    });
  }

  get text(): string {
    const { from, to } = this.view.state.selection.main;
    return from === to ? this.view.state.doc.toString() : this.view.state.sliceDoc(from, to);
  }

  get offset(): number {
    const { from, to } = this.view.state.selection.main;
    return from === to ? 0 : from;
  }

  set(text: string): void {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  /** A name, as it has to be written. */
  insert(name: string): void {
    this.view.dispatch(this.view.state.replaceSelection(identifier(name, this.type)));
    this.focus();
  }

  /** Puts another word in the place of the one at a byte of `sqlText`, which stands at `base`. */
  fix(sqlText: string, base: number, position: number, word: string): void {
    const at = Math.max(0, Math.min(this.view.state.doc.length, base + fromBytes(sqlText, position)));
    const old = this.view.state.wordAt(at);
    if (old) this.view.dispatch({ changes: { from: old.from, to: old.to, insert: identifier(word, this.type) } });
    this.focus();
  }

  focus(): void {
    this.view.focus();
  }

  source(type: string, tables: TableInfo[]): void {
    this.type = type;
    const option = (label: string, detail: string): Completion => ({ label, detail, type: "property", apply: identifier(label, type) });
    const schema: Record<string, SQLNamespace> = {};
    for (const table of tables)
      schema[table.name] = { self: { label: table.name, type: "type", apply: identifier(table.name, type) }, children: (table.columns ?? []).map((c) => option(c.name, c.nativeType ?? "")) };
    const language = sql({ dialect: DIALECTS[type] ?? PostgreSQL, schema, upperCaseKeywords: true });
    const columns: CompletionSource = (context) => {
      const word = context.matchBefore(/[\w\u0080-\uffff]+/);
      if (!word || word.from === word.to || context.matchBefore(/\b(from|join)\s+\S*$/i)) return null; // tables stand there
      const seen = new Map<string, string>();
      for (const table of tables) for (const c of table.columns ?? []) seen.set(c.name, `${table.name} · ${c.nativeType ?? ""}`);
      return { from: word.from, options: [...seen].slice(0, 2000).map(([label, detail]) => option(label, detail)) };
    };
    this.view.dispatch({ effects: this.language.reconfigure([language, language.language.data.of({ autocomplete: columns })]) });
  }

  /** Marks what a refusal is about; undefined takes marks away. */
  mark(sqlText: string, base: number, failure?: { message: string; position?: number; token?: string }): void {
    const marks: Diagnostic[] = [];
    if (failure && failure.position !== undefined) {
      const from = Math.min(this.view.state.doc.length, base + fromBytes(sqlText, failure.position));
      const to = Math.min(this.view.state.doc.length, from + Math.max(1, failure.token?.length ?? 1));
      if (to > from) marks.push({ from, to, severity: "error", message: failure.message });
    }
    this.view.dispatch(setDiagnostics(this.view.state, marks));
  }
}
