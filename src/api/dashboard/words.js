// Values as people read them, in the words of the command line.

const UNITS = [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]];

export function bytes(count) {
  for (const [unit, size] of UNITS) {
    if (count >= size) return `${Math.floor((count / size) * 10) / 10} ${unit}`;
  }
  return `${count} B`;
}

export function span(seconds) {
  const [days, hours, minutes, rest] =
    [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (days) return hours ? `${days}d${hours}h` : `${days}d`;
  if (hours) return minutes ? `${hours}h${minutes}m` : `${hours}h`;
  if (minutes) return rest ? `${minutes}m${rest}s` : `${minutes}m`;
  return `${rest}s`;
}

export const short = (id) => id.replace(/^0x/, '').slice(0, 8);

const decimal = (digits, decimals) => {
  const padded = digits.padStart(decimals + 1, '0');
  const at = padded.length - decimals;
  const rest = padded.slice(at).replace(/0+$/, '');
  return `${padded.slice(0, at)}${rest ? `.${rest}` : ''}`;
};

const isEther = (asset) => (asset?.kind ?? 'ether') === 'ether';

/** A sum in the smallest units of an asset, as decimal text, in the unit that makes it readable. Without an asset, it is ether. */
export function amount(text, asset) {
  const units = BigInt(text);
  if (!isEther(asset)) {
    const { symbol, decimals, address } = asset;
    return symbol ? `${decimal(units.toString(), decimals)} ${symbol}` : `${units} units of 0x${short(address)}`;
  }
  if (units < 10n ** 6n) return `${units} wei`;
  const [unit, decimals] = units < 10n ** 15n ? ['gwei', 9] : ['ether', 18];
  return `${decimal(units.toString(), decimals)} ${unit}`;
}

/** What a number in the form means: ether, whole tokens, or a token's smallest units where it says nothing of itself. */
export function unit(asset) {
  if (isEther(asset)) return 'ether';
  return asset.symbol ?? `smallest units of 0x${short(asset.address)}`;
}

/** A number of what [`unit`] says in the smallest units, as decimal text; null if it is none. */
export function units(number, asset) {
  const decimals = isEther(asset) ? 18 : asset.symbol ? asset.decimals : 0;
  const found = /^(\d{1,30})(?:\.(\d{1,255}))?$/.exec(number.trim());
  const rest = (found?.[2] ?? '').replace(/0+$/, '');
  return found && rest.length <= decimals ? BigInt(found[1] + rest.padEnd(decimals, '0')).toString() : null;
}

/** The words of a command line: spaces part them, quotes keep them together; null if a quote is not closed. */
export function words(line) {
  const found = [];
  let word = null;
  let quote = null;
  for (const character of line) {
    if (quote) {
      if (character === quote) quote = null;
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (/\s/.test(character)) {
      if (word !== null) found.push(word);
      word = null;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quote) return null;
  return word === null ? found : [...found, word];
}

/** A command as one line. */
export function command(parts) {
  return parts.map((part) => (/^[\w@%+=:,./-]+$/.test(part) ? part : `'${part.replaceAll("'", "'\\''")}'`)).join(' ');
}

export const isOver = (state) => !['open', 'running', 'revealing'].includes(state);

const EVENTS = {
  submitted: () => 'submitted the job',
  deal_updated: () => 'changed the deal',
  cancelled: () => 'cancelled the job',
  bid_placed: ({ price }, asset) => (price === '0' ? 'bid' : `bid ${amount(price, asset)}`),
  bid_withdrawn: () => 'withdrew its bid',
  bid_accepted: ({ node }) => `accepted ${short(node)}`,
  bid_rejected: ({ node }) => `rejected the bid of ${short(node)}`,
  failure_reported: ({ kind }) => `reported a failure: ${kind.replaceAll('_', ' ')}`,
  committed: ({ commitment }) => `committed to ${short(commitment)}`,
  stopped: () => 'stopped the job',
  revealed: ({ seat, opening }) =>
    `revealed seat ${seat}: output ${short(opening.result_hash)}, exit code ${opening.exit_code}`,
  verdict_posted: () => 'posted the verdict',
  expired: () => 'ended it after a deadline',
  remarked: ({ node, remark }) => `remarked on ${short(node)}: ${remark}`,
  ticked: () => 'closed the commitments',
  secret_published: () => 'published the secret of the audit',
};

/** What happened, from an event of a log whose money is in this asset: a name, or a name with fields. */
export function event(value, asset) {
  const [kind, fields] = typeof value === 'string' ? [value, {}] : Object.entries(value)[0];
  return (EVENTS[kind] ?? (() => kind.replaceAll('_', ' ')))(fields ?? {}, asset);
}
