# From rpc.discover's answer: wrong requests for every method and every parameter, one per line, as
# NAME \t CODES \t WORD \t LINE: a name for people, the codes that will do, a word the message must hold, and the line.

# Parameters of a request that is right as far as the table can tell.
def good:
	{
		"lease.request": {kind: "best-effort", vms: 1, cpu: 1000, memory: 67108864, image: "small", duration_us: 60000000},
		"lease.show": {id: 1}, "lease.cancel": {id: 1}, "lease.call": {id: 1}, "lease.tune": {id: 1, slice_us: 1000, period_us: 2000}, "lease.wait": {id: 1, timeout_us: 0}, "lease.explain": {id: 1},
		"node.show": {name: "n1"}, "node.drain": {name: "n1"}, "node.resume": {name: "n1"}, "node.tune": {name: "n1", task: 1, slice_us: 1000, period_us: 2000},
		"node.hello": {node: "n2", version: "0", pool: 1, suspend_rate: 1, resume_rate: 1, hypervisor: "none",
			capacity: {cpu: 1, memory: 1, disk: 1, net_in: 1, net_out: 1},
			report: {epoch: 0, version: 0, degraded: false, text: "", vms: [], images: []}},
		"image.add": {name: "new", format: "raw", files: [{role: "disk", path: $file}]},
		"image.show": {name: "small"}, "image.remove": {name: "small"}
	}[.] // {};

def request($method): {jsonrpc: "2.0", id: "bad", method: $method, params: .} | tojson;

# Values that JSON cannot say are put in as "@TEXT@" and lose their quotes here.
def raw: gsub("\"@(?<text>[^@]*)@\""; .text);

def wrong_values:
	.schema as $s
	| if $s.type == "string" then
		["wrong type", 5], ["wrong type", true], ["wrong type", []], ["wrong type", {}], ["null", null],
		["control character", "a\nb"], ["C1 control character", "a\u009bb"],
		(if $s.pattern then ["path", "../x"], ["slash", "a/b"], ["space", "a b"], ["dash first", "-x"], ["not ASCII", "ü"],
			["quote", "a'b"], ["empty", ""], ["huge", ("x" * 64)]
		else
			(if $s.minLength > 0 then ["empty", ""] else empty end), ["huge", ("x" * ($s.maxLength + 1))]
		end)
	elif $s.type == "integer" then
		["wrong type", "1"], ["wrong type", true], ["wrong type", []], ["wrong type", {}], ["null", null],
		["fraction", "@1.5@"], ["float", "@1.0@"], ["exponent", "@1e3@"],
		["most negative", "@-9223372036854775808@"],
		(if ($s.minimum // 0) >= 0 then ["negative", -1] else empty end),
		(if $s.minimum > 0 then ["zero", 0] else empty end),
		(if ($s.minimum // 0) > 1 or ($s.minimum // 0) < 0 then ["too small", ($s.minimum - 1)] else empty end),
		(if $s.maximum < 4611686018427387904 then ["huge", "@9223372036854775807@"] else empty end),
		(if $s.maximum < 4503599627370496 then ["too large", ($s.maximum + 1)] else empty end)
	elif $s.type == "boolean" then
		["wrong type", 1], ["wrong type", "true"], ["wrong type", []], ["null", null]
	elif $s.type == "object" then
		["wrong type", []], ["wrong type", "{}"], ["wrong type", 1], ["null", null]
	else
		["wrong type", {}], ["wrong type", "[]"], ["wrong type", 1], ["null", null], ["empty", []],
		["huge", [range($s.maxItems + 1) | {role: "disk", path: $file}]]
	end;

# What is no JSON at all, in place of any value.
def not_json: "NaN", "Infinity", "-Infinity", "1e400", "9223372036854775808", "01", "+1", "0x10", "'x'", "\"\\u0000\"", "\"\\ud800\"", "nil";

# What this peer may not call is refused before its parameters are looked at.
def code($want):
	if .["x-role"] == "agent" and .name != "node.hello" then -32001
	elif $peer == "tcp" and (.["x-role"] == "operator" or .["x-role"] == "admin" or .["x-role"] == "agent") then -32001
	else $want end;
def word($want): if code(1) == 1 then $want else "" end;
def case($text; $want; $word; line): [.name + ": " + $text, (code($want) | tostring), word($word), line] | join("\t");

.result.methods[]
| . as $m | (.name | good) as $params
| ($params + {colour: "red"} | request($m.name)) as $unknown
| case("unknown parameter"; -32602; "colour"; $unknown),
	([.name + ": params is an array", "-32602", "params", ({jsonrpc: "2.0", id: "bad", method: .name, params: []} | tojson)] | join("\t")),
	(.params[] as $p
		| ($p | wrong_values) as [$what, $value]
		| ($params + {($p.name): $value} | request($m.name) | raw) as $line
		| $m | case($p.name + " " + $what; -32602; $p.name; $line)),
	(.params[] as $p | select($p.required)
		| ($params | del(.[$p.name]) | request($m.name)) as $line
		| $m | case($p.name + " missing"; -32602; $p.name; $line)),
	(.params[] as $p | not_json as $text
		| ($params + {($p.name): "@@@"} | request($m.name) | sub("\"@@@\""; $text | gsub("\\\\"; "\\"))) as $line
		| [.name + ": " + $p.name + " " + $text, "-32700", "", $line] | join("\t")),
	(.params[] as $p
		| ($params + {($p.name): ($params[$p.name] // 1)} | request($m.name)) as $line
		| ($params[$p.name] // 1 | tojson) as $again
		| [.name + ": " + $p.name + " duplicated", "-32700", "twice",
			($line | sub("\"params\":\\{"; "\"params\":{\"" + $p.name + "\":" + $again + ","))] | join("\t"))
