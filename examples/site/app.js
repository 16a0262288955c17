// Counts the visits of this page, once in a cookie and once in local storage.

const yearInSeconds = 365 * 24 * 60 * 60;

const cookie = {
	read() {
		const found = document.cookie.match(/(?:^|; )visits=(\d+)/);
		return found ? Number(found[1]) : 0;
	},
	write(visits) { document.cookie = `visits=${visits}; Max-Age=${yearInSeconds}; Path=/; SameSite=Lax`; },
	clear() { document.cookie = 'visits=; Max-Age=0; Path=/; SameSite=Lax'; },
};

// Local storage throws where the browser forbids it; the page then shows 0 for it.
const storage = {
	read() { return allowed(() => Number(localStorage.getItem('visits')) || 0) ?? 0; },
	write(visits) { allowed(() => localStorage.setItem('visits', visits)); },
	clear() { allowed(() => localStorage.removeItem('visits')); },
};

function allowed(use) {
	try {
		return use();
	} catch (error) {
		if (error instanceof DOMException) return undefined;
		throw error;
	}
}

/** Adds one to a counter and returns what it then really holds. */
function count(counter) {
	counter.write(counter.read() + 1);
	return counter.read();
}

function verdict(cookieVisits, storageVisits) {
	const most = Math.max(cookieVisits, storageVisits);
	if (most === 0) return 'This session keeps nothing.';
	if (cookieVisits !== storageVisits) return 'This session remembers only in part.';
	return most === 1 ? 'This session sees the page for the first time.' : 'This session remembers you.';
}

function show(cookieVisits, storageVisits) {
	const visits = Math.max(cookieVisits, storageVisits);
	document.getElementById('cookie').textContent = cookieVisits;
	document.getElementById('storage').textContent = storageVisits;
	document.getElementById('visits').textContent = visits;
	document.getElementById('verdict').textContent = verdict(cookieVisits, storageVisits);
	document.title = `Visit ${visits} – cdpbridge example site`;
}

document.getElementById('forget').addEventListener('click', () => {
	cookie.clear();
	storage.clear();
	document.getElementById('verdict').textContent = 'Forgotten. The next visit is the first.';
});

show(count(cookie), count(storage));
