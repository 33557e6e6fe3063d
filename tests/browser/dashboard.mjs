// The dashboard in a real browser: node dashboard.mjs ADDRESS PICTURES
//
// Opens the address that `assay dashboard` printed for a node of a devstack with a liar, and does what a user does: submits a
// job, watches it to its verdict, finds the liar by colour and by sentence, and looks at it on a phone, in the dark and by
// keyboard. Fails on an error in the console and on what axe-core finds. Writes two screenshots into PICTURES.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const [address, pictures] = process.argv.slice(2);
const PATIENCE = 60_000;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
const context = await browser.newContext({ colorScheme: 'light', reducedMotion: 'reduce', viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
page.setDefaultTimeout(PATIENCE);
const faults = [];
page.on('pageerror', (error) => faults.push(String(error)));
page.on('console', (message) => {
  if (message.type() === 'error') faults.push(`${message.text()} ${message.location().url}`);
});

/** What axe-core finds on the page as it is. */
async function audit(where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
  assert.deepEqual(told, [], where);
}

async function fits(where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(over <= 0, `${where}: ${over} pixels too wide`);
}

try {
  // The ticket opens the node once, and stays neither in the address nor in the history.
  await page.goto(address);
  await page.getByText('live', { exact: true }).waitFor();
  assert.ok(!page.url().includes('ticket'));
  assert.deepEqual(await context.cookies(), []);
  await audit('the list without jobs');

  // By keyboard: the first stop leads past the navigation.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');

  await page.getByRole('link', { name: 'Submit' }).click();
  await page.getByLabel('Command').fill("sh -c 'x=$(seq 3000000); sleep 3; echo hello'");
  await audit('the form');
  await page.getByRole('button', { name: 'Submit' }).click();

  // Watched without a reload: the page hears of each step.
  await page.locator('.state.verified').waitFor();
  const liar = page.locator('tr.rejected');
  assert.equal(await liar.count(), 1);
  const [words, name] = [await liar.innerText(), await liar.locator('th').innerText()];
  assert.match(words, /rejected/);
  assert.match(words, /its output differs from the majority's; 1 of 3 nodes have it, 2 needed/);
  const ground = (row) => row.evaluate((row) => getComputedStyle(row).backgroundColor);
  assert.notEqual(await ground(liar), await ground(page.locator('tr.accepted').first()));

  const curve = page.locator('.picture g.run.rejected').first();
  await page.locator('.picture svg').waitFor();
  assert.match(await curve.locator('title').textContent(), new RegExp(`^${name} rejected: its output differs`));
  const stroke = (run) => run.locator('polyline').evaluate((line) => getComputedStyle(line).stroke);
  assert.notEqual(await stroke(curve), await stroke(page.locator('.picture g.run.accepted').first()));
  assert.ok(await page.locator('.picture .ball').count() > 0, 'what agrees is shaded');
  assert.equal(await page.locator('section', { hasText: 'Timeline' }).getByText('posted the verdict').count(), 1);

  await page.getByRole('button', { name: 'Show where they differ' }).click();
  await page.locator('.beside mark').first().waitFor();
  assert.match(await page.locator('.beside figure').first().innerText(), /hello/);
  await audit('a job');
  await page.screenshot({ path: join(pictures, 'dashboard-job.png'), fullPage: true });

  await page.emulateMedia({ colorScheme: 'dark' });
  await audit('a job in the dark');
  await page.setViewportSize({ width: 390, height: 844 });
  await fits('a job on a phone');
  await audit('a job on a phone');
  await page.emulateMedia({ colorScheme: 'light' });

  await page.getByRole('link', { name: 'Nodes' }).click();
  await page.getByText('this node', { exact: true }).waitFor();
  await fits('the nodes on a phone');
  await audit('the nodes on a phone');

  await page.setViewportSize({ width: 1280, height: 360 });
  await page.getByRole('link', { name: 'Jobs' }).click();
  await page.getByText('1 job', { exact: true }).waitFor();
  await audit('the list');
  await page.screenshot({ path: join(pictures, 'dashboard-jobs.png') });
  await page.getByLabel('State').selectOption('failed');
  await page.getByText('No job is like that.').waitFor();

  // The ticket was used: another browser is not let in, and is told what to do.
  assert.deepEqual(faults, []);
  const stranger = await (await browser.newContext()).newPage();
  await stranger.goto(address);
  await stranger.getByText('the ticket was used before').waitFor();
  assert.equal(await stranger.locator('table').count(), 0);
} finally {
  await browser.close();
}
