"""Scripts that strangers run on another machine, against a coordinator's front: for `python -c`."""

ALL_PATHS = """
import sys, json, ssl, httpx
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
base, ca, key = sys.argv[1:]
head = {"content-type": "application/protobuf", "flwr-public-key": key}
context = ssl.create_default_context(cafile=ca)
with httpx.Client(base_url=base, verify=context, trust_env=False) as site:
    found = {path: site.post(path, content=kind().SerializeToString(), headers=head).status_code
             for (_, path), kind in PROTOBUF_REQUEST_TYPES.items()}
    found |= {path: site.get(path).status_code for path in ("/health", "/docs", "/openapi.json")}
print(json.dumps(found))
"""

FUZZ = """
import sys, json, ssl, random, socket, time, httpx
from collections import Counter
host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
paths = sys.argv[4].split(",")
chance, seen = random.Random(5), Counter()
context = ssl.create_default_context(cafile=ca)

def opened():
    return context.wrap_socket(socket.create_connection((host, port), 10), server_hostname=host)

with httpx.Client(base_url=f"https://{host}:{port}", verify=context, trust_env=False) as site:
    for number in range(600):
        body = chance.randbytes(chance.choice([0, 10, 1000, 60_000]))
        key = chance.choice([{}, {"flwr-public-key": chance.randbytes(40).hex()}])
        head = {"content-type": "application/protobuf"} | key
        seen[site.post(chance.choice(paths), content=body, headers=head).status_code] += 1
for size in (7_000_000, 50_000_000_000):
    with opened() as line:
        line.sendall(b"POST /v1/fleet/push-object HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d"
                     b"\\r\\n\\r\\n" % size + bytes(1000))
        seen[line.recv(12)[9:].decode()] += 1
for number in range(50):  # nonsense where HTTP should be
    with opened() as line:
        line.sendall(chance.randbytes(300) + b"\\r\\n\\r\\n")
        seen[line.recv(12)[9:].decode() or "closed"] += 1
slow = [opened() for _ in range(100)]
begun = time.monotonic()
for line in slow:
    line.sendall(b"POST /v1/fleet/push-object HTTP/1.1\\r\\nHost: x\\r\\n")
while time.monotonic() - begun < 8:
    for line in slow[:50]:
        line.sendall(b"X: y\\r\\n")  # one header after the other, without end
    time.sleep(1)
    meanwhile = httpx.get(f"https://{host}:{port}/health", verify=context, trust_env=False)
    seen[f"meanwhile {meanwhile.status_code}"] += 1
for line in slow:
    line.settimeout(10)
    try:
        while line.recv(1000): pass
    except OSError as error:
        if isinstance(error, TimeoutError): seen["still open"] += 1
    line.close()
seen["slow ones closed within"] = round(time.monotonic() - begun)
print(json.dumps(seen))
"""
