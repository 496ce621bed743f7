"""Holds answers against an OpenAPI 3 document: the part of JSON Schema that such documents use."""
import re

TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool,
}
KNOWN = {"type", "properties", "required", "items", "enum", "const", "nullable", "oneOf", "anyOf",
         "allOf", "additionalProperties", "minimum", "maximum", "minLength", "maxLength", "pattern",
         "format", "description", "title", "example", "examples", "default", "$ref", "minItems",
         "maxItems", "readOnly", "writeOnly", "deprecated"}


def is_type(value, name):
    if name == "null":
        return value is None
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


class Spec:
    def __init__(self, doc):
        self.doc = doc
        self.paths = []
        for template, item in doc["paths"].items():
            pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", pattern)
            # A path without placeholders wins over one with.
            self.paths.append(("{" in template, re.compile(pattern + r"\Z"), template, item))
        self.paths.sort(key=lambda p: p[0])

    def operation(self, method, path):
        for _, pattern, template, item in self.paths:
            if pattern.match(path) and method.lower() in item:
                return template, item[method.lower()]
        return None, None

    def check(self, method, path, status, value):
        """None, or what is wrong."""
        template, op = self.operation(method, path)
        if op is None:
            # An unknown path or method must say so in the common error form.
            schema = self.doc.get("components", {}).get("schemas", {}).get("Error")
            return self.match(value, schema, "$") if schema and status >= 400 else None
        answers = op.get("responses", {})
        answer = answers.get(str(status)) or answers.get(f"{status // 100}XX") or \
            answers.get("default")
        if answer is None:
            return f"{method} {template} does not document status {status}"
        answer = self.resolve(answer)
        content = answer.get("content", {}).get("application/json")
        if content is None:
            return f"{method} {template} {status} documents no JSON"
        return self.match(value, content.get("schema", {}), "$")

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            at = self.doc
            for part in node["$ref"].lstrip("#/").split("/"):
                at = at[part.replace("~1", "/").replace("~0", "~")]
            node = at
        return node

    def match(self, value, schema, where):
        schema = self.resolve(schema)
        if schema is True or schema == {}:
            return None
        unknown = {k for k in schema if k not in KNOWN and not k.startswith("x-")}
        if unknown:
            return f"{where}: schema words not understood: {sorted(unknown)}"
        if value is None and schema.get("nullable"):
            return None
        for check in (self.by_type, self.by_choice, self.by_number, self.by_object, self.by_array):
            problem = check(value, schema, where)
            if problem:
                return problem
        return None

    def by_type(self, value, schema, where):
        wanted = schema.get("type")
        if wanted is None:
            return None
        names = wanted if isinstance(wanted, list) else [wanted]
        if not any(is_type(value, n) for n in names):
            return f"{where}: want {wanted}, got {value!r:.80}"
        return None

    def by_choice(self, value, schema, where):
        if "enum" in schema and value not in schema["enum"]:
            return f"{where}: {value!r:.80} is none of {schema['enum']}"
        if "const" in schema and value != schema["const"]:
            return f"{where}: {value!r:.80} is not {schema['const']!r}"
        for sub in schema.get("allOf", []):
            problem = self.match(value, sub, where)
            if problem:
                return problem
        for word in ("anyOf", "oneOf"):
            if word in schema:
                found = [self.match(value, sub, where) for sub in schema[word]]
                good = sum(1 for f in found if f is None)
                if good == 0 or (word == "oneOf" and good > 1):
                    return f"{where}: {good} of {word} match: {[f for f in found if f]}"
        return None

    def by_number(self, value, schema, where):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if value < schema.get("minimum", value) or value > schema.get("maximum", value):
                return f"{where}: {value} is out of range"
        if isinstance(value, str):
            if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 62):
                return f"{where}: length {len(value)}"
            if "pattern" in schema and not re.search(schema["pattern"], value):
                return f"{where}: {value!r:.80} does not match {schema['pattern']}"
        return None

    def by_object(self, value, schema, where):
        if not isinstance(value, dict):
            return None
        for key in schema.get("required", []):
            if key not in value:
                return f"{where}: {key} is missing"
        props = schema.get("properties", {})
        more = schema.get("additionalProperties", True)
        for key, member in value.items():
            if key in props:
                problem = self.match(member, props[key], f"{where}.{key}")
            elif more is False:
                problem = f"{where}: {key} is not documented"
            elif isinstance(more, dict):
                problem = self.match(member, more, f"{where}.{key}")
            else:
                problem = None
            if problem:
                return problem
        return None

    def by_array(self, value, schema, where):
        if not isinstance(value, list):
            return None
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1 << 62):
            return f"{where}: {len(value)} items"
        if "items" in schema:
            for i, item in enumerate(value):
                problem = self.match(item, schema["items"], f"{where}[{i}]")
                if problem:
                    return problem
        return None
