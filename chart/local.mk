CHART_FILES = \
	chart/tp/.helmignore \
	chart/tp/Chart.yaml \
	chart/tp/values.yaml \
	chart/tp/values.schema.json \
	chart/tp/templates/NOTES.txt \
	chart/tp/templates/_helpers.tpl \
	chart/tp/templates/apiservice.yaml \
	chart/tp/templates/authority.yaml \
	chart/tp/templates/checks.yaml \
	chart/tp/templates/client-config.yaml \
	chart/tp/templates/client-rbac.yaml \
	chart/tp/templates/deployment.yaml \
	chart/tp/templates/disruption.yaml \
	chart/tp/templates/networkpolicy.yaml \
	chart/tp/templates/rbac.yaml \
	chart/tp/templates/service.yaml
EXTRA_DIST += $(CHART_FILES) chart/README.md
