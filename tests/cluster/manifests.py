"""Holds contrib/k8s and contrib/aws-batch to the schemas of the services, and prints the commands that they run.

    manifests.py check                    Kubernetes' API schemas (kubernetes-validate), AWS' service model (botocore)
    manifests.py commands FILE.yaml       one line for each container, in their order: NAME\tWORD\tWORD...

SPDX-License-Identifier: MIT
"""
import json
import pathlib
import shlex
import sys

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2] / "contrib"


def check_kubernetes():
    import kubernetes_validate

    for path in sorted((TOP / "k8s").glob("*.yaml")):
        job = yaml.safe_load(path.read_text())
        for version in ("1.33", "1.37"):  # the first with backoffLimitPerIndex, and the last that is known
            kubernetes_validate.validate(job, version, strict=True)
        # The schema cannot say these.
        spec = job["spec"]
        assert spec["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy wants Never"
        names = [c["name"] for c in spec["template"]["spec"]["containers"]]
        for rule in spec["podFailurePolicy"]["rules"]:
            codes = rule.get("onExitCodes", {})
            assert codes.get("containerName", names[0]) in names, "no such container"
            assert 0 not in codes.get("values", []) and sorted(codes.get("values", [])) == codes.get("values", [])
    # A field that the API does not have is found.
    job["spec"]["completionsMode"] = "Indexed"
    try:
        kubernetes_validate.validate(job, "1.37", strict=True)
    except kubernetes_validate.ValidationError:
        return
    raise AssertionError("a false manifest passes")


def check_aws():
    import botocore.loaders
    import botocore.model
    import botocore.validate

    model = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("batch", "service-2"))

    def faults(operation, value):
        shape = model.operation_model(operation).input_shape
        return botocore.validate.ParamValidator().validate(value, shape).generate_report()

    definition = json.loads((TOP / "aws-batch/job-definition.json").read_text())
    assert not faults("RegisterJobDefinition", definition), faults("RegisterJobDefinition", definition)
    for rule in definition["retryStrategy"]["evaluateOnExit"]:
        assert rule["action"] in model.shape_for("RetryAction").enum, rule
    # What submit.sh says with options of the command line.
    for options in ({"arrayProperties": {"size": 8}, "parameters": {"job": "/data/job"}},
                    {"dependsOn": [{"jobId": "x"}], "containerOverrides": {"command": ["a", "b"]}}):
        said = {"jobName": "dsv4", "jobQueue": "q", "jobDefinition": "dsv4", **options}
        assert not faults("SubmitJob", said), faults("SubmitJob", said)
    definition["retryStrategy"]["attempt"] = 5
    assert faults("RegisterJobDefinition", definition), "a false definition passes"


def commands(path):
    spec = yaml.safe_load(pathlib.Path(path).read_text())["spec"]["template"]["spec"]
    for c in spec.get("initContainers", []) + spec["containers"]:
        print(c["name"], shlex.join(c["command"]), sep="\t")


if sys.argv[1] == "check":
    check_kubernetes()
    print("ok   k8s_manifests_fit_the_api")
    check_aws()
    print("ok   aws_definitions_fit_the_api")
else:
    commands(sys.argv[2])
