#include "catalog/catalog_int.h"

const char *nx_source_status_name(enum nx_source_status s)
{
	static const char *const names[] = { "draft", "active", "inactive", "error" };
	return (unsigned)s < NX_COUNTOF(names) ? names[s] : "unknown";
}

static struct nx_str keep(char **at, struct nx_str s)
{
	char *to = *at;
	if (s.len > 0)
		memcpy(to, s.ptr, s.len);
	to[s.len] = '\0';
	*at += s.len + 1;
	return nx_strn(to, s.len);
}

struct nx_body *nx_body_new(const struct nx_body_parts *p, struct nx_options *options)
{
	size_t n = p->name.len + p->type_name.len + p->description.len + p->created_at.len +
		   p->updated_at.len + p->changed_by.len + p->config.len + p->secrets.len +
		   8; /* each is bounded */
	struct nx_body *b = malloc(sizeof(*b) + n);
	struct nx_vitals *vitals = b ? nx_vitals_new() : NULL;
	if (!vitals || !options) {
		nx_vitals_unref(vitals);
		free(b);
		nx_options_free(options);
		return NULL;
	}
	atomic_init(&b->refs, 1);
	b->options = options;
	b->vitals = vitals;
	char *at = b->bytes;
	b->name = keep(&at, p->name);
	b->type_name = keep(&at, p->type_name);
	b->description = keep(&at, p->description);
	b->created_at = keep(&at, p->created_at);
	b->updated_at = keep(&at, p->updated_at);
	b->changed_by = keep(&at, p->changed_by);
	b->config = keep(&at, p->config);
	b->secrets = keep(&at, p->secrets);
	return b;
}

void nx_body_unref(struct nx_body *b)
{
	if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	nx_options_free(b->options);
	nx_vitals_unref(b->vitals);
	free(b);
}

void nx_body_follow(struct nx_body *b, const struct nx_body *old)
{
	nx_vitals_unref(b->vitals);
	b->vitals = nx_vitals_ref(old->vitals);
}

struct nx_vitals *nx_data_source_vitals(const struct nx_data_source *s)
{
	return nx_snapshot_of(s)->body->vitals;
}

static enum nx_account account_of(const struct nx_options *o)
{
	const char *s = nx_opt_str(o, "readOnlyAccount", "any");
	return strcmp(s, "required") == 0	? NX_ACCOUNT_READ_ONLY
	       : strcmp(s, "no-superuser") == 0 ? NX_ACCOUNT_NO_SUPERUSER
						: NX_ACCOUNT_ANY;
}

static uint32_t count32(int64_t v)
{
	return v < 0 ? 0 : v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static struct nx_source_limits limits_of(const struct nx_options *o)
{
	int64_t rows = nx_opt_int(o, "maxRows", 0), bytes = nx_opt_int(o, "maxBytes", 0);
	return (struct nx_source_limits){
		.max_pool = count32(nx_opt_int(o, "maxPoolSize", 10)),
		.max_streams = count32(nx_opt_int(o, "maxStreams", 4)),
		.max_queue = count32(nx_opt_int(o, "maxQueue", 1000)),
		.idle_ms = count32(nx_opt_ms(o, "idleTimeout", 600000)),
		.lifetime_ms = count32(nx_opt_ms(o, "maxLifetime", 1800000)),
		.connect_ms = count32(nx_opt_ms(o, "connectTimeout", 30000)),
		.queue_ms = count32(nx_opt_ms(o, "queueTimeout", 10000)),
		.query_ms = count32(nx_opt_ms(o, "timeout", 60000)),
		.max_rows = rows > 0 ? (uint64_t)rows : 0,
		.max_bytes = bytes > 0 ? (uint64_t)bytes : 0,
	};
}

static enum nx_trace_context trace_context(const struct nx_options *o)
{
	const char *s = nx_opt_str(o, "traceContext", "none");
	return strcmp(s, "comment") == 0	   ? NX_TRACE_COMMENT
	       : strcmp(s, "applicationName") == 0 ? NX_TRACE_APPLICATION_NAME
						   : NX_TRACE_NONE;
}

struct nx_snapshot *nx_snapshot_new(struct nx_body *body, const char *id,
				    const struct nx_source_type *type, uint32_t version,
				    enum nx_source_status status)
{
	struct nx_snapshot *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	const char *functions = nx_opt_str(body->options, "functions", "deny-list");
	atomic_init(&s->refs, 1);
	atomic_init(&s->replaced, false);
	atomic_fetch_add_explicit(&body->refs, 1, memory_order_relaxed);
	s->body = body;
	s->pub = (struct nx_data_source){
		.name = body->name,
		.type = type,
		.driver = nx_driver_find(type->driver),
		.options = body->options,
		.limits = limits_of(body->options),
		.trace_context = trace_context(body->options),
		.allow_metadata = nx_opt_bool(body->options, "allowMetadataStatements", false),
		.only_builtin_functions = strcmp(functions, "deny-list") != 0,
		.catalog_functions = strcmp(functions, "catalog") == 0,
		.allow_functions = nx_opt_str(body->options, "allowFunctions", NULL),
		.deny_functions = nx_opt_str(body->options, "denyFunctions", NULL),
		.account = account_of(body->options),
		.version = version,
		.status = status,
		.description = body->description,
		.created_at = body->created_at,
		.updated_at = body->updated_at,
	};
	memcpy(s->pub.id, id, sizeof(s->pub.id) - 1);
	return s;
}

void nx_snapshot_hold(struct nx_snapshot *s)
{
	if (s->pub.account == NX_ACCOUNT_ANY || s->pub.status != NX_SOURCE_ACTIVE)
		return;
	s->pub.status = NX_SOURCE_DRAFT;
	nx_vitals_again(s->body->vitals); /* by the prober, if nobody else */
}

void nx_data_source_ref(const struct nx_data_source *s)
{
	atomic_fetch_add_explicit(&nx_snapshot_of(s)->refs, 1, memory_order_relaxed);
}

bool nx_data_source_replaced(const struct nx_data_source *s)
{
	return atomic_load(&nx_snapshot_of(s)->replaced);
}

void nx_data_source_unref(const struct nx_data_source *s)
{
	if (!s)
		return;
	struct nx_snapshot *snap = nx_snapshot_of(s);
	if (atomic_fetch_sub_explicit(&snap->refs, 1, memory_order_acq_rel) != 1)
		return;
	nx_body_unref(snap->body);
	free(snap);
}

static void member(struct nx_buf *out, const char *key, struct nx_str value)
{
	nx_buf_printf(out, ",\"%s\":", key);
	nx_buf_put_json(out, value);
}

void nx_data_source_json(const struct nx_data_source *s, struct nx_buf *out)
{
	const struct nx_body *b = nx_snapshot_of(s)->body;
	nx_buf_puts(out, "{\"id\":");
	nx_buf_put_json(out, nx_str(s->id));
	member(out, "name", s->name);
	member(out, "type", b->type_name);
	member(out, "description", s->description);
	member(out, "status", nx_str(nx_source_status_name(s->status)));
	member(out, "health", nx_str(nx_vitals_word(s)));
	nx_buf_printf(out, ",\"version\":%u,\"driverBuilt\":%s,\"fromConfig\":%s,\"config\":",
		      s->version, s->driver ? "true" : "false", s->from_config ? "true" : "false");
	nx_buf_put_str(out, b->config.len ? b->config : NX_STR("{}"));
	if (s->problem) {
		nx_buf_puts(out, ",\"problem\":{\"code\":");
		nx_buf_put_json(out, nx_str(nx_code_name(s->problem)));
		member(out, "message", nx_str(s->problem_text));
		nx_buf_putc(out, '}');
	}
	member(out, "createdAt", s->created_at);
	member(out, "updatedAt", s->updated_at);
	if (b->changed_by.len)
		member(out, "changedBy", b->changed_by);
	nx_buf_putc(out, '}');
}
