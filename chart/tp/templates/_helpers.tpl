{{/* Labels of every object. */}}
{{- define "tp.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{ include "tp.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tp
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels that never change in the life of a release. */}}
{{- define "tp.selectorLabels" -}}
app.kubernetes.io/name: tp-manager
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "tp.image" -}}
{{- include "tp.imageOf" (dict "image" .Values.image "version" .Chart.AppVersion) -}}
{{- end }}

{{- define "tp.imageOf" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end -}}
{{- end }}

{{/* The aggregated API's name; also that of its APIService. */}}
{{- define "tp.apiservice" -}}v1.connect.tp.internal{{- end }}

{{/* The name of the MutatingWebhookConfiguration. */}}
{{- define "tp.webhook" -}}tp-manager{{- end }}

{{/* "true" where the cluster has ValidatingAdmissionPolicy (1.30). */}}
{{- define "tp.hasAdmissionPolicy" -}}
{{- if or (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy") (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) -}}true{{- end -}}
{{- end }}

{{/*
"true" if the named CRD is this release's to make. Helm keeps CRDs when a release
is removed, and refuses objects of another release: what one in another
namespace has left is used as it is.
*/}}
{{- define "tp.ownsCrd" -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .name -}}
{{- if not $found -}}
true
{{- else -}}
{{- $an := $found.metadata.annotations | default dict -}}
{{- if and (eq (index $an "meta.helm.sh/release-name" | default "") .top.Release.Name) (eq (index $an "meta.helm.sh/release-namespace" | default "") .top.Release.Namespace) -}}
true
{{- end -}}
{{- end -}}
{{- end }}

{{/* The Secret that the manager mounts: a CA (tls.crt, tls.key), or with
     cert-manager the manager's own certificate (and ca.crt). */}}
{{- define "tp.secretName" -}}
{{- if .Values.certManager.enabled -}}
tp-manager-tls
{{- else -}}
{{ .Values.ca.existingSecret | default "tp-manager-ca" }}
{{- end -}}
{{- end }}

{{/*
Finds or makes the authority, once per rendering: .Values.tpAuthority becomes
{crt, key, own}. genCA would answer differently at each call, and the Secret, the
APIService and the pods' checksum have to agree.
*/}}
{{- define "tp.authority" -}}
{{- if not (hasKey .Values "tpAuthority") -}}
{{- $found := lookup "v1" "Secret" .Release.Namespace (include "tp.secretName" .) -}}
{{- $data := dict -}}
{{- if $found -}}{{- $data = $found.data | default dict -}}{{- end -}}
{{- $a := dict "crt" "" "key" "" "own" false -}}
{{- if .Values.certManager.enabled -}}
{{- $_ := set $a "crt" (index $data "ca.crt" | default "" | b64dec) -}}
{{- else if .Values.ca.existingSecret -}}
{{- $_ := set $a "crt" (index $data "tls.crt" | default "" | b64dec) -}}
{{- else if and (index $data "tls.crt") (index $data "tls.key") -}}
{{- $a = dict "crt" (index $data "tls.crt" | b64dec) "key" (index $data "tls.key" | b64dec) "own" true -}}
{{- else -}}
{{- $ca := genCAWithKey "tp-manager-ca" 3650 (genPrivateKey "ecdsa") -}}
{{- $a = dict "crt" $ca.Cert "key" $ca.Key "own" true -}}
{{- end -}}
{{- if and .Values.ca.bundle (not $a.own) -}}
{{- $_ := set $a "crt" .Values.ca.bundle -}}
{{- end -}}
{{- $_ := set .Values "tpAuthority" $a -}}
{{- end -}}
{{- end }}

