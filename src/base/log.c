#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "nexus/buf.h"

static _Atomic int min_level = NX_LOG_INFO;
static _Atomic int out_fd = 2;
static _Atomic bool pretty_lines;

void nx_log_setup(enum nx_log_level min, int fd, bool pretty)
{
	atomic_store(&min_level, (int)min);
	atomic_store(&out_fd, fd < 0 ? 2 : fd);
	atomic_store(&pretty_lines, pretty);
}

static const char *const names[] = { "debug", "info", "warn", "error" };

static void emit(enum nx_log_level level, const char *event, const char *cid,
		 const struct nx_error *err, struct nx_str message)
{
	char when[NX_ISO_LEN];
	nx_iso_time(nx_wall_us(), when);
	struct nx_buf b;
	nx_buf_init(&b, 16384);
	if (atomic_load(&pretty_lines)) {
		nx_buf_printf(&b, "%s %-5s %s: " NX_STR_FMT, when, names[level], event,
			      NX_STR_ARG(message));
		if (err)
			nx_buf_printf(&b, "%s %s%s%s", nx_code_name(err->code), err->message,
				      err->detail[0] ? " | " : "", err->detail);
	} else {
		nx_buf_printf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", when,
			      names[level], event);
		if (cid && cid[0]) {
			nx_buf_puts(&b, ",\"correlationId\":");
			nx_buf_put_json(&b, nx_str(cid));
		}
		if (err) {
			nx_buf_printf(&b, ",\"code\":\"%s\"", nx_code_name(err->code));
			if (err->sqlstate[0])
				nx_buf_printf(&b, ",\"sqlstate\":\"%s\"", err->sqlstate);
			message = nx_str(err->message);
		}
		nx_buf_puts(&b, ",\"message\":");
		nx_buf_put_json(&b, message);
		if (err && err->detail[0]) {
			nx_buf_puts(&b, ",\"detail\":");
			nx_buf_put_json(&b, nx_str(err->detail));
		}
		nx_buf_putc(&b, '}');
	}
	nx_buf_putc(&b, '\n');
	if (!b.failed) {
		ssize_t n = write(atomic_load(&out_fd), b.data, b.len);
		(void)n; /* a log that cannot be written has nowhere to say so */
	}
	nx_buf_done(&b);
}

void nx_log(enum nx_log_level level, const char *event, const char *fmt, ...)
{
	if ((int)level < atomic_load(&min_level))
		return;
	char text[2048];
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	emit(level, event, NULL, NULL, nx_str(text));
}

void nx_log_error(enum nx_log_level level, const char *event, const char *correlation_id,
		  const struct nx_error *err)
{
	if ((int)level >= atomic_load(&min_level))
		emit(level, event, correlation_id, err, NX_STR(""));
}
