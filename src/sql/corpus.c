#include "sql/corpus.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "nexus/buf.h"

struct nx_corpus {
	FILE *f;
	char *line;
	size_t cap;
	unsigned number;
	bool refuse, live;
	struct nx_gate_policy policy;
	struct nx_buf sql;
};

struct nx_corpus *nx_corpus_open(const char *path, bool refuse)
{
	struct nx_corpus *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->f = fopen(path, "re");
	if (!c->f) {
		free(c);
		return NULL;
	}
	c->refuse = refuse;
	c->live = true;
	nx_buf_init(&c->sql, 4 << 20);
	return c;
}

void nx_corpus_free(struct nx_corpus *c)
{
	if (!c)
		return;
	fclose(c->f);
	free(c->line);
	nx_buf_done(&c->sql);
	free(c);
}

static bool expand_one(struct nx_buf *b, const char *s, size_t n)
{
	struct nx_str t = nx_strn(s, n);
	if (nx_str_is(t, "LF"))
		nx_buf_putc(b, '\n');
	else if (nx_str_is(t, "CR"))
		nx_buf_putc(b, '\r');
	else if (nx_str_is(t, "TAB"))
		nx_buf_putc(b, '\t');
	else if (nx_str_is(t, "SPACES"))
		nx_buf_puts(b, "    ");
	else if (n == 4 && s[0] == '0' && s[1] == 'x')
		nx_buf_putc(b, (char)strtol(s + 2, NULL, 16));
	else if (n > 4 && memcmp(s, "BIG:", 4) == 0) {
		char *text;
		long times = strtol(s + 4, &text, 10);
		if (*text != ':')
			return false;
		text++;
		while (times-- > 0)
			nx_buf_put(b, text, n - (size_t)(text - s));
	} else {
		return false;
	}
	return true;
}

static void expand(struct nx_buf *b, const char *s)
{
	nx_buf_clear(b);
	while (*s) {
		const char *end = *s == '{' ? strchr(s, '}') : NULL;
		if (end && expand_one(b, s + 1, (size_t)(end - s - 1)))
			s = end + 1;
		else
			nx_buf_putc(b, *s++);
	}
	nx_buf_putc(b, '\0'); /* a terminator, not counted below */
}

static void set_section(struct nx_corpus *c, const char *s)
{
	c->policy = (struct nx_gate_policy){ 0 };
	c->live = strncmp(s, "[no server]", 11) != 0;
	c->policy.allow_metadata = strncmp(s, "[metadata]", 10) == 0;
	c->policy.table_paths = strncmp(s, "[paths]", 7) == 0 || strncmp(s, "[file]", 6) == 0;
	if (strncmp(s, "[paths]", 7) == 0)
		c->live = false;
	if (strncmp(s, "[builtin]", 9) == 0)
		c->policy.functions = NX_FUNCTIONS_BUILTIN;
}

bool nx_corpus_next(struct nx_corpus *c, struct nx_corpus_case *ret)
{
	ssize_t n;
	while ((n = getline(&c->line, &c->cap, c->f)) >= 0) {
		c->number++;
		if (n > 0 && c->line[n - 1] == '\n')
			c->line[n - 1] = '\0';
		char *s = c->line;
		if (*s == '\0' || *s == '#')
			continue;
		if (*s == '[') {
			set_section(c, s);
			continue;
		}
		*ret = (struct nx_corpus_case){ .line = c->number,
						.policy = c->policy,
						.live = c->live };
		if (c->refuse) {
			size_t len = 0;
			while (*s && *s != ' ' && len + 1 < sizeof(ret->code))
				ret->code[len++] = *s++;
			while (*s == ' ')
				s++;
		}
		expand(&c->sql, s);
		ret->sql = nx_strn(c->sql.data, c->sql.len - 1);
		return true;
	}
	return false;
}
