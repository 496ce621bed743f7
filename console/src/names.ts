/** Names as they are written in a statement. */

/** Words that are no column in some dialect unless quoted. One quoted too many does no harm. */
const RESERVED = new Set(
  `all analyse analyze and any array as asc asymmetric authorization between binary both by case cast check collate column
  constraint create cross current current_date current_role current_time current_timestamp current_user database default
  deferrable delete desc describe distinct div do drop else end escape except exists explain false fetch for foreign freeze
  from full function grant group groups grouping having if ilike in index initially inner insert intersect interval into is
  isnull join key keys lateral leading left like limit localtime localtimestamp lock mod natural not notnull null of offset on
  only or order outer over overlaps partition placing primary qualify range rank read recursive references regexp release
  rename repeat replace return returning right rlike row row_number rows schema select session_user set show similar some
  ssl starting straight_join summarize symmetric system table tablesample terminated then to trailing trigger true undo union
  unique unlock unpivot unsigned update usage use user using values variadic verbose view when where while window with
  write xor`.split(/\s+/),
);

/** Types of sources whose names differ by the case of their letters, and are lower-case when not quoted. */
const FOLDING = new Set(["postgresql"]);
const BACKTICKS = new Set(["mysql", "mariadb"]);

export function identifier(name: string, type: string): string {
  const plain = FOLDING.has(type) ? /^[a-z_\u0080-\uffff][a-z0-9_\u0080-\uffff]*$/ : /^[a-z_\u0080-\uffff][a-z0-9_\u0080-\uffff]*$/i;
  if (plain.test(name) && !RESERVED.has(name.toLowerCase())) return name;
  const quote = BACKTICKS.has(type) ? "`" : '"';
  return quote + name.replaceAll(quote, quote + quote) + quote;
}
