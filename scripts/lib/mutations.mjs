// The mutations of one Solidity source: which places, found in the compiler's syntax tree, and what stands there instead.

/** What an operator becomes: its neighbour, as a slip of the hand would have it. */
const OPERATORS = {
  "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
  "==": ["!="], "!=": ["=="], "&&": ["||"], "||": ["&&"],
  "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
  "&": ["|"], "|": ["&"], "<<": [">>"], ">>": ["<<"],
};
const ASSIGNMENTS = { "+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=" };
/** Statements whose absence still compiles, mostly. */
const DELETED = new Set(["ExpressionStatement", "RevertStatement", "EmitStatement", "Continue", "Break"]);

function* nodesOf(node) {
  if (Array.isArray(node)) {
    for (const part of node) yield* nodesOf(part);
  } else if (node && typeof node === "object") {
    if (node.nodeType) yield node;
    // Assembly has a tree of its own kind.
    if (node.nodeType === "InlineAssembly") return;
    for (const [name, part] of Object.entries(node)) {
      // Without it the loop does not end, which every test notices.
      if (name !== "loopExpression") yield* nodesOf(part);
    }
  }
}

/** Offsets in the compiler's tree count bytes; every source is ASCII, so they count characters too. */
function span({ src }) {
  const [start, length] = src.split(":").map(Number);
  return [start, start + length];
}

function* replacements(node, source) {
  const text = (part) => source.slice(...span(part));
  if (node.nodeType === "BinaryOperation") {
    const [start, end] = [span(node.leftExpression)[1], span(node.rightExpression)[0]];
    const between = source.slice(start, end);
    const at = between.indexOf(node.operator);
    for (const operator of OPERATORS[node.operator] ?? []) {
      yield [start, end, between.slice(0, at) + operator + between.slice(at + node.operator.length)];
    }
  }
  if (node.nodeType === "Assignment" && ASSIGNMENTS[node.operator]) {
    const [start, end] = [span(node.leftHandSide)[1], span(node.rightHandSide)[0]];
    yield [start, end, source.slice(start, end).replace(node.operator, ASSIGNMENTS[node.operator])];
  }
  if (node.nodeType === "IfStatement" || node.nodeType === "Conditional") {
    for (const value of ["true", "false"]) yield [...span(node.condition), value];
  }
  if (node.nodeType === "UnaryOperation" && node.operator === "!") yield [...span(node), text(node.subExpression)];
  // A block, since some places need a statement; an expression's span ends before its semicolon.
  if (DELETED.has(node.nodeType)) {
    const [start, end] = span(node);
    yield [start, source[end] === ";" ? end + 1 : end, "{}"];
  }
}

const oneLine = (text) => text.replace(/\s+/g, " ").trim();

/** Every mutant of a source: where, the text instead, its line, and that line before and after. */
export function* mutationsOf(file, source, ast) {
  if (/[^\x00-\x7f]/.test(source)) throw new Error(`${file}: offsets count bytes, and this source is not ASCII`);
  for (const node of nodesOf(ast)) {
    for (const [start, end, text] of replacements(node, source)) {
      const from = source.lastIndexOf("\n", start) + 1;
      const to = source.indexOf("\n", end);
      yield {
        file, start, end, text,
        line: source.slice(0, start).split("\n").length,
        before: oneLine(source.slice(from, to)),
        after: oneLine(source.slice(from, start) + text + source.slice(end, to)),
      };
    }
  }
}
