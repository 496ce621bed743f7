/* An OAuth token endpoint for tests: oauth2-mock-server with what it lacks around it (clients that prove
 * themselves, refresh tokens that rotate, answers that are wrong), and RFC 7523 by jose. Prints its port; told
 * what to do by POST /control, and says what it saw at GET /log. Ends when its standard input does. */
'use strict';
const path = require('path');
const http = require('http');
const peers = path.join(__dirname, '../../.cache/peers/npm/node_modules');
const { OAuth2Server } = require(path.join(peers, 'oauth2-mock-server'));
const jose = require(path.join(peers, 'jose'));

const state = { expires: 3600, refresh: 'first', error: null, delay: 0, publicKey: null, alg: 'RS256' };
let log = [];
const used = new Set();

function read(req) {
	return new Promise((done) => {
		let text = '';
		req.on('data', (d) => (text += d));
		req.on('end', () => done(text));
	});
}

async function assertion(jwt, url, subject) {
	const key = await jose.importSPKI(state.publicKey, state.alg);
	const { payload } = await jose.jwtVerify(jwt, key, { audience: url, algorithms: [state.alg] });
	if (!payload.jti || used.has(payload.jti) || payload.exp - payload.iat > 600) throw new Error('jti');
	if (subject && (payload.sub !== subject || payload.iss !== subject)) throw new Error('sub');
	used.add(payload.jti);
	return payload;
}

/* Who the client is: basic, post, or a signed assertion. */
async function client(req, form, url) {
	const basic = /^Basic (.*)$/.exec(req.headers.authorization || '');
	if (basic) {
		const [id, secret] = Buffer.from(basic[1], 'base64').toString().split(':').map(decodeURIComponent);
		return id === 'me' && secret === 's3cr:t %' ? 'basic' : null;
	}
	if (form.get('client_secret')) return form.get('client_secret') === 's3cr:t %' ? 'post' : null;
	if (form.get('client_assertion')) {
		await assertion(form.get('client_assertion'), url, 'me');
		return 'jwt';
	}
	return 'none';
}

async function token(req, res, server, url) {
	const text = await read(req);
	const form = new URLSearchParams(text);
	const grant = form.get('grant_type');
	const entry = { grant, client: null, scope: form.get('scope') };
	const fail = (status, error) => {
		res.writeHead(status, { 'content-type': 'application/json' });
		res.end(JSON.stringify({ error, error_description: text }));
	};
	log.push(entry);
	if (state.delay) await new Promise((r) => setTimeout(r, state.delay));
	if (state.error === 'html') return res.end('<html>' + text + '</html>');
	if (state.error === 'huge') return res.end('{"access_token":"' + 'x'.repeat(1 << 20) + '"}');
	if (state.error) return fail(state.error === 'server_error' ? 503 : 400, state.error);
	try {
		entry.client = await client(req, form, url);
		if (grant === 'urn:ietf:params:oauth:grant-type:jwt-bearer') {
			entry.claims = await assertion(form.get('assertion'), url);
			const made = await server.issuer.buildToken({ expiresIn: state.expires });
			res.writeHead(200, { 'content-type': 'application/json' });
			return res.end(JSON.stringify({ access_token: made, token_type: 'Bearer', expires_in: state.expires }));
		}
	} catch (e) {
		entry.why = String(e);
		return fail(401, 'invalid_client');
	}
	if (!entry.client) return fail(401, 'invalid_client');
	if (grant === 'refresh_token' && form.get('refresh_token') !== state.refresh) return fail(400, 'invalid_grant');
	/* the rest is the mock server's own answer */
	const far = http.request({ port: server.address().port, path: '/token', method: 'POST',
		headers: { 'content-type': req.headers['content-type'], 'content-length': Buffer.byteLength(text) } },
	async (answer) => {
		const doc = JSON.parse(await read(answer));
		doc.expires_in = state.expires;
		delete doc.refresh_token;
		if (grant === 'refresh_token') doc.refresh_token = state.refresh = 'rotated-' + log.length;
		res.writeHead(answer.statusCode, { 'content-type': 'application/json' });
		res.end(JSON.stringify(doc));
	});
	far.end(text);
}

async function main() {
	const server = new OAuth2Server();
	await server.issuer.keys.generate('RS256');
	await server.start(0, '127.0.0.1');
	const front = http.createServer(async (req, res) => {
		const url = `http://127.0.0.1:${front.address().port}/token`;
		if (req.url === '/token') return token(req, res, server, url);
		if (req.url === '/control') {
			log = [];
			Object.assign(state, { error: null, delay: 0, expires: 3600 }, JSON.parse(await read(req)));
			return res.end('{}');
		}
		return res.end(JSON.stringify(log));
	});
	front.listen(0, '127.0.0.1', () => console.log(front.address().port));
	process.stdin.on('end', () => process.exit(0)).resume();
}

main();
