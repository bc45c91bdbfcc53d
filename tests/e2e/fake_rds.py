"""RDS and CloudWatch as an Aurora Global Database needs them, by their API references (2014-10-31, 2010-08-01): the Query
protocol. Each request is checked: the signature, and that AWS's own library makes the same form of the same parameters."""
import copy
import datetime
import re
import time
import urllib.parse

import botocore.loaders
import botocore.model
import botocore.serialize

import fake_aws

EAST, WEST = "arn:aws:rds:us-east-1:123456789012:cluster:app-east", "arn:aws:rds:us-west-2:123456789012:cluster:app-west"


def model(service):
    """As the library has it; what came to the API after it (2023: SwitchoverGlobalCluster, AllowDataLoss) is added."""
    m = copy.deepcopy(botocore.loaders.Loader().load_service_model(service, "service-2"))
    if service == "rds":
        old = m["shapes"]["FailoverGlobalClusterMessage"]["members"]
        two = {k: old[k] for k in ("GlobalClusterIdentifier", "TargetDbClusterIdentifier")}
        old.setdefault("AllowDataLoss", {"shape": "BooleanOptional"})
        m["shapes"].setdefault("SwitchoverGlobalClusterMessage", {"type": "structure", "members": two})
        m["operations"].setdefault("SwitchoverGlobalCluster", dict(m["operations"]["FailoverGlobalCluster"],
                                                                   name="SwitchoverGlobalCluster",
                                                                   input={"shape": "SwitchoverGlobalClusterMessage"}))
    return botocore.model.ServiceModel(m, service)


MODELS = {"rds": model("rds"), "monitoring": model("cloudwatch")}


def nested(form):
    """The parameters of a form: Tags.Tag.1.Key=x -> {"Tags": [{"Key": "x"}]}; the names of lists' members are read over."""
    out = {}
    for key, value in form.items():
        parts = key.split(".")
        if len(parts) == 1:
            out[key] = value
        else:
            entry = out.setdefault(parts[0], {}).setdefault(int(parts[2]), {})
            if len(parts) == 3:
                out[parts[0]][int(parts[2])] = value
            else:
                entry[parts[3]] = value
    return {k: [v[i] for i in sorted(v)] if isinstance(v, dict) else v for k, v in out.items()}


class Rds(fake_aws.Route53):
    """One region's endpoint. `world` is shared by all of them: status, writer, moving, tags …"""

    def __init__(self, region, world):
        self.region, self.world = region, world
        super().__init__()

    def signed_for(self, h):
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request", h.headers["Authorization"])
        if scope.group(1) != self.region or scope.group(2) not in MODELS:
            self.faults.append(f"signed for {scope.groups()}")
        self.service = scope.group(2)
        return scope.group(2), self.region

    def dispatch(self, method, path, query, body):
        form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        action = form["Action"]
        self.check_form(form, action)
        if self.service == "monitoring":
            return self.statistics(nested(form))
        return getattr(self, action)(form)

    def check_form(self, form, action):
        service = MODELS[self.service]
        operation = service.operation_model(action)
        params = nested({k: v for k, v in form.items() if k not in ("Action", "Version")})
        for key, shape in operation.input_shape.members.items():
            if key in params and shape.type_name in ("integer", "boolean"):
                params[key] = int(params[key]) if shape.type_name == "integer" else params[key] == "true"
            if key in params and shape.type_name == "timestamp":
                params[key] = datetime.datetime.fromisoformat(params[key].replace("Z", "+00:00"))
        made = botocore.serialize.create_serializer("query").serialize_to_request(params, operation)["body"]
        made = {k: str(v) for k, v in made.items()}
        for f in (made, form):
            for key in f:
                if key.endswith("Time"):  # the fraction of a second is written or not
                    f[key] = f[key][:19]
        if made != form:
            self.faults.append(f"form: {form}, expected {made}")

    @staticmethod
    def error(status, code, message):
        return status, (f'<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>{code}</Code>'
                        f"<Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>").encode()

    @staticmethod
    def answer(action, inner):
        return 200, (f'<{action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><{action}Result>{inner}</{action}Result>'
                     f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>").encode()

    def show(self, name="GlobalClusterMember"):
        w = self.world
        members = "".join(f"<GlobalClusterMember><DBClusterArn>{a}</DBClusterArn><Readers/><IsWriter>{'true' if w.writer == a else 'false'}"
                          f"</IsWriter><SynchronizationStatus>{w.sync}</SynchronizationStatus></GlobalClusterMember>" for a in w.members)
        moving = (f"<FailoverState><Status>{w.moving[0]}</Status><FromDbClusterArn>{w.writer}</FromDbClusterArn><ToDbClusterArn>{w.moving[1]}"
                  f"</ToDbClusterArn><IsDataLossAllowed>true</IsDataLossAllowed></FailoverState>") if w.moving else ""
        return (f"<{name}><GlobalClusterIdentifier>shop</GlobalClusterIdentifier><Status>{w.status}</Status>"
                f"<Engine>aurora-postgresql</Engine><GlobalClusterMembers>{members}</GlobalClusterMembers>{moving}</{name}>")

    def DescribeGlobalClusters(self, form):  # noqa: N802
        if form["GlobalClusterIdentifier"] != "shop":
            return self.error(404, "GlobalClusterNotFoundFault", "no such global cluster")
        self.world.turn()
        return self.answer("DescribeGlobalClusters", f"<GlobalClusters>{self.show()}</GlobalClusters>")

    def moved(self, form, action):
        w = self.world
        w.calls.append((self.region, action, form.get("AllowDataLoss")))
        if form["TargetDbClusterIdentifier"] not in w.members:
            return self.error(404, "DBClusterNotFoundFault", "no such cluster")
        if w.moving or form["TargetDbClusterIdentifier"] == w.writer:
            return self.error(400, "InvalidGlobalClusterStateFault", "it is in no state for this")
        w.moving = ["pending", form["TargetDbClusterIdentifier"]]
        w.status = "switching-over" if action.startswith("Sw") else "failing-over"
        return self.answer(action, self.show("GlobalCluster"))

    def FailoverGlobalCluster(self, form):  # noqa: N802
        if form.get("AllowDataLoss") != "true" and self.world.east_is_dead:
            return self.error(400, "InvalidGlobalClusterStateFault", "a switchover needs all members")
        return self.moved(form, "FailoverGlobalCluster")

    def SwitchoverGlobalCluster(self, form):  # noqa: N802
        return self.moved(form, "SwitchoverGlobalCluster")

    def ListTagsForResource(self, form):  # noqa: N802
        tags = self.world.tags.get(form["ResourceName"], {})
        return self.answer("ListTagsForResource", "<TagList>" + "".join(
            f"<Tag><Key>{k}</Key><Value>{v}</Value></Tag>" for k, v in tags.items()) + "</TagList>")

    def AddTagsToResource(self, form):  # noqa: N802
        self.world.tags.setdefault(form["ResourceName"], {})[form["Tags.Tag.1.Key"]] = form["Tags.Tag.1.Value"]
        return 200, b"<AddTagsToResourceResponse><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AddTagsToResourceResponse>"

    def statistics(self, params):
        points = "".join(f"<member><Timestamp>{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() - age))}</Timestamp>"
                         f"<Maximum>{value}</Maximum><Unit>Milliseconds</Unit></member>" for age, value in self.world.lag)
        if (params["Dimensions"], params["MetricName"]) != ([{"Name": "DBClusterIdentifier", "Value": "app-west"}], "AuroraGlobalDBRPOLag"):
            points = ""
        return self.answer("GetMetricStatistics", f"<Label>x</Label><Datapoints>{points}</Datapoints>")


class World:
    def __init__(self):
        self.status, self.writer, self.sync, self.moving = "available", EAST, "connected", None
        self.members, self.tags, self.calls, self.lag, self.east_is_dead = [EAST, WEST], {}, [], [(130, 900.0), (70, 120.5)], False
        self.turns = 2  # so many looks until a move is over

    def turn(self):
        if self.moving:
            self.turns -= 1
            if self.turns == 0:
                self.writer, self.moving, self.status, self.turns = self.moving[1], None, "available", 2
            else:
                self.moving[0] = "failing-over"
