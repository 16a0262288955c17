// Puppeteer as a client of the benchmarks. The Go side starts Chromium, whose
// pipe is on file descriptors 3 (to write) and 4 (to read), as it is between
// Puppeteer and a browser of its own. It sends one command a line, as JSON, on
// stdin, and gets one line on stdout for each. The end of stdin ends the program.
import {Socket} from 'node:net'
import {createInterface} from 'node:readline'
import puppeteer, {PipeTransport} from 'puppeteer-core'

const toChromium = new Socket({fd: 3, readable: false, writable: true})
const fromChromium = new Socket({fd: 4, readable: true, writable: false})
const browser = await puppeteer.connect({transport: new PipeTransport(toChromium, fromChromium)})
const pages = []

const commands = {
	// open returns the page's number, which the commands below take.
	async open() {
		return pages.push(await browser.newPage()) - 1
	},
	async load(page, url) {
		await pages[page].goto(url)
	},
	async text(page, expression) {
		return pages[page].evaluate(expression)
	},
	async passRequests(page) {
		await pages[page].setRequestInterception(true)
		pages[page].on('request', request => request.continue())
	},
	async close(page) {
		await pages[page].close()
	},
	// cpu is the CPU time of this process in microseconds.
	async cpu() {
		const {user, system} = process.cpuUsage()
		return user + system
	},
}

for await (const line of createInterface({input: process.stdin})) {
	const {command, args} = JSON.parse(line)
	const answer = await commands[command](...args).then(
		result => ({result}),
		error => ({error: String(error)}),
	)
	console.log(JSON.stringify(answer))
}
process.exit()
