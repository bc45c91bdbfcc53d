"""A witness: it looks, votes and speaks with its peers, and takes in no batches."""
import support


def peer(name, port, region, ca):
    return (f"peer {name}", {"url": f"https://localhost:{port}", "region": region, "ca": f"{ca}/ca.pem",
                             "cert": f"{ca}/role-peer.pem", "key": f"{ca}/role-peer.key"})


def test_a_witness(tmp_path, ca, started):
    ports = {"east": support.free_port(), "eye": support.free_port()}
    east = support.Aggregator(tmp_path, ca, sections=[peer("eye", ports["eye"], "eu-west-1", ca)], name="east",
                              ingest_port=ports["east"])
    eye = support.Aggregator(tmp_path, ca, sections=[peer("east", ports["east"], "us-east-1", ca)], name="eye",
                             ingest_port=ports["eye"], aggregator={"region": "eu-west-1", "role": "witness"})
    for a in (east, eye):
        started.append(a)
        a.start()

    # each hears the other
    for a, other in ((east, "eu-west-1"), (eye, "us-east-1")):
        support.wait_for(lambda a=a, o=other: [r["up"] for r in a.api("regions")["regions"] if r["region"] == o] == [True], 30)

    # batches and definitions are not let in, whatever they hold, and it says why
    for path, kind in (("/v1/batches", "batch"), ("/v1/definitions", "definitions")):
        status, body = support.post(ca, ports["eye"], path, "agent-web-1", b"\x00" * 100, f"application/vnd.securebase.{kind}")
        assert status == 403
        assert b"this is a witness: it takes in no batches" in body and b"identity" in body

    # an agent that is told both goes to the one that takes it in, and loses nothing
    agent = support.Agent(tmp_path, ca, [eye.endpoint, east.endpoint], ship={"batch": "1s"})
    started.append(agent)
    agent.start()
    support.wait_for(lambda: east.agents()["web-1"]["up"], 40)
    support.wait_for(lambda: agent.totals()["delivered"]["batches"] >= 2, 40)
    assert agent.totals()["dropped"]["batches"] == 0
    assert "web-1" not in eye.agents()
    assert eye.metrics()['securebase_aggregator_refused_batches_total{reason="identity"}'] >= 1
