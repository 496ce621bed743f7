"""A collector double: takes OTLP/HTTP, reads it with the official library, and can be slow, busy or down."""
import http.server
import threading

from nxtest import SLOW, closers, until
from observers import need


class Collector:
    def __init__(self):
        service = need("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        self.requests, self.headers, self.spans, self.resources = [], [], [], []
        self.answers = []  # (status, headers) of the next ones; then 200
        self.delay = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.delay:
                    outer.stopping.wait(outer.delay)
                with outer.lock:
                    status, headers = outer.answers.pop(0) if outer.answers else (200, {})
                    outer.headers.append(dict(self.headers))
                    outer.requests.append(self.path)
                    if status == 200:
                        doc = service.ExportTraceServiceRequest()
                        doc.ParseFromString(body)
                        for rs in doc.resource_spans:
                            outer.resources.append(attributes(rs.resource))
                            for ss in rs.scope_spans:
                                outer.spans += [Span(s) for s in ss.spans]
                try:
                    self.send_response(status)
                    for k, v in headers.items():
                        self.send_header(k, v)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass

        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        closers.insert(0, self.close)

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def trace(self, trace_id, seconds=10):
        """The spans of one trace, once its request's span has come: name -> span; "" is the request."""
        def come():
            with self.lock:
                mine = [s for s in self.spans if s.trace_id == trace_id]
            return mine if any(s.kind == 2 for s in mine) else None
        spans = until(f"trace {trace_id}", come, seconds)
        return {s.attr.get("nexus.step", ""): s for s in spans}


def attributes(owner):
    return {a.key: a.value.string_value if a.value.HasField("string_value") else a.value.int_value
            for a in owner.attributes}


class Span:
    def __init__(self, s):
        self.trace_id, self.id, self.parent = s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex()
        self.name, self.kind, self.state, self.flags = s.name, s.kind, s.trace_state, s.flags
        self.start, self.end = s.start_time_unix_nano, s.end_time_unix_nano
        self.attr = attributes(s)
        self.status, self.message = s.status.code, s.status.message
        self.links = [(l.trace_id.hex(), l.span_id.hex()) for l in s.links]

    def __repr__(self):
        return f"{self.name} {self.attr} status {self.status}"
