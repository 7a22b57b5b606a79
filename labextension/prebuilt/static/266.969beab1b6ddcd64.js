"use strict";(self.rspackChunkmljupyter_labextension=self.rspackChunkmljupyter_labextension||[]).push([[266],{646(e,o,r){var t=r(601),n=r.n(t),a=r(314),l=(r.n(a))()(n());l.push([e.id,`.mljlab-Panel {
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size1);
  min-width: 220px;
}
.mljlab-Panel-body {
  display: flex;
  flex-direction: column;
  height: 100%;
  padding: 8px;
  gap: 6px;
  box-sizing: border-box;
  overflow: auto;
}
.mljlab-Panel h3 {
  margin: 6px 0 0;
  font-size: var(--jp-ui-font-size1);
}
.mljlab-Panel p {
  margin: 2px 0;
}
.mljlab-line {
  display: flex;
  align-items: center;
  gap: 6px;
}
.mljlab-grow {
  flex: 1;
  min-width: 0;
  overflow-wrap: anywhere;
}
.mljlab-list,
.mljlab-versions {
  list-style: none;
  margin: 0;
  padding: 0;
}
.mljlab-versions {
  padding-left: 24px;
}
.mljlab-uri {
  padding-left: 24px;
  overflow-wrap: anywhere;
}
.mljlab-scroll {
  flex: 1 1 auto;
  min-height: 160px;
  overflow: auto;
}
.mljlab-endpoint {
  padding: 4px 0;
  border-bottom: 1px solid var(--jp-border-color2);
}
.mljlab-name {
  flex: 1;
  min-width: 0;
  overflow: hidden;
  text-overflow: ellipsis;
  text-align: left;
  font-weight: 600;
}
.mljlab-name,
.mljlab-toggle {
  border: none;
  background: none;
  color: inherit;
  font-size: inherit;
  padding: 2px;
  cursor: pointer;
}
.mljlab-name:hover {
  text-decoration: underline;
}
.mljlab-quiet {
  color: var(--jp-ui-font-color2);
}
.mljlab-state {
  white-space: nowrap;
}
.mljlab-state-healthy span {
  color: var(--jp-success-color1);
}
.mljlab-state-transitioning span,
.mljlab-state-deleting span {
  color: var(--jp-info-color1);
}
.mljlab-state-unschedulable span {
  color: var(--jp-warn-color1);
}
.mljlab-state-unhealthy span,
.mljlab-state-failed span {
  color: var(--jp-error-color1);
}
.mljlab-problem {
  color: var(--jp-error-color0);
  overflow-wrap: anywhere;
  white-space: pre-line;
}
.mljlab-search {
  width: 100%;
  box-sizing: border-box;
}
.mljlab-Panel select,
.mljlab-Panel input {
  background: var(--jp-input-background);
  color: var(--jp-ui-font-color1);
  border: 1px solid var(--jp-border-color1);
  font-size: inherit;
  max-width: 100%;
  padding: 2px 4px;
}
.mljlab-Panel button:focus-visible,
.mljlab-Panel select:focus-visible,
.mljlab-Panel input:focus-visible,
.mljlab-Panel summary:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: 1px;
}
.mljlab-section summary {
  cursor: pointer;
  font-weight: 600;
  padding: 4px 0;
}
.mljlab-model,
.mljlab-target {
  padding: 3px 0;
}
.mljlab-buttons {
  display: inline-flex;
  gap: 4px;
  margin-left: 6px;
}
.mljlab-View {
  overflow: auto;
  padding: 12px;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
}
.mljlab-View-said {
  white-space: pre-line;
}
.mljlab-button,
.mljlab-buttons button {
  background: var(--jp-layout-color2);
  color: var(--jp-ui-font-color1);
  border: 1px solid var(--jp-border-color1);
  border-radius: 2px;
  font: inherit;
  padding: 2px 8px;
  cursor: pointer;
}
.mljlab-button:disabled,
.mljlab-buttons button:disabled {
  color: var(--jp-ui-font-color3);
  cursor: default;
}
.mljlab-status-item {
  height: 100%;
  border: none;
  background: none;
  color: inherit;
  font: inherit;
  cursor: pointer;
}
.mljlab-chart {
  width: 60px;
  height: 16px;
  flex: none;
}
.mljlab-chart polyline {
  fill: none;
  stroke: var(--jp-brand-color1);
  stroke-width: 1.5;
}
`,""]),r.d(o,{},{A:l})},314(e){e.exports=function(e){var o=[];return o.toString=function(){return this.map(function(o){var r="",t=void 0!==o[5];return o[4]&&(r+="@supports (".concat(o[4],") {")),o[2]&&(r+="@media ".concat(o[2]," {")),t&&(r+="@layer".concat(o[5].length>0?" ".concat(o[5]):""," {")),r+=e(o),t&&(r+="}"),o[2]&&(r+="}"),o[4]&&(r+="}"),r}).join("")},o.i=function(e,r,t,n,a){"string"==typeof e&&(e=[[null,e,void 0]]);var l={};if(t)for(var i=0;i<this.length;i++){var s=this[i][0];null!=s&&(l[s]=!0)}for(var c=0;c<e.length;c++){var p=[].concat(e[c]);t&&l[p[0]]||(void 0!==a&&(void 0===p[5]||(p[1]="@layer".concat(p[5].length>0?" ".concat(p[5]):""," {").concat(p[1],"}")),p[5]=a),r&&(p[2]&&(p[1]="@media ".concat(p[2]," {").concat(p[1],"}")),p[2]=r),n&&(p[4]?(p[1]="@supports (".concat(p[4],") {").concat(p[1],"}"),p[4]=n):p[4]="".concat(n)),o.push(p))}},o}},601(e){e.exports=function(e){return e[1]}},665(e,o,r){r.r(o);var t=r(72),n=r.n(t),a=r(825),l=r.n(a),i=r(659),s=r.n(i),c=r(56),p=r.n(c),u=r(540),d=r.n(u),b=r(113),m=r.n(b),f=r(646),v={};v.styleTagTransform=m(),v.setAttributes=p(),v.insert=s().bind(null,"head"),v.domAPI=l(),v.insertStyleElement=d(),n()(f.A,v);let h=f.A&&f.A.locals?f.A.locals:void 0;r.d(o,{},{default:h})},72(e){var o=[];function r(e){for(var r=-1,t=0;t<o.length;t++)if(o[t].identifier===e){r=t;break}return r}function t(e,t){for(var n={},a=[],l=0;l<e.length;l++){var i=e[l],s=t.base?i[0]+t.base:i[0],c=n[s]||0,p="".concat(s," ").concat(c);n[s]=c+1;var u=r(p),d={css:i[1],media:i[2],sourceMap:i[3],supports:i[4],layer:i[5]};if(-1!==u)o[u].references++,o[u].updater(d);else{var b=function(e,o){var r=o.domAPI(o);return r.update(e),function(o){o?(o.css!==e.css||o.media!==e.media||o.sourceMap!==e.sourceMap||o.supports!==e.supports||o.layer!==e.layer)&&r.update(e=o):r.remove()}}(d,t);t.byIndex=l,o.splice(l,0,{identifier:p,updater:b,references:1})}a.push(p)}return a}e.exports=function(e,n){var a=t(e=e||[],n=n||{});return function(e){e=e||[];for(var l=0;l<a.length;l++){var i=r(a[l]);o[i].references--}for(var s=t(e,n),c=0;c<a.length;c++){var p=r(a[c]);0===o[p].references&&(o[p].updater(),o.splice(p,1))}a=s}}},659(e){var o={};e.exports=function(e,r){var t=function(e){if(void 0===o[e]){var r=document.querySelector(e);if(window.HTMLIFrameElement&&r instanceof window.HTMLIFrameElement)try{r=r.contentDocument.head}catch(e){r=null}o[e]=r}return o[e]}(e);if(!t)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");t.appendChild(r)}},540(e){e.exports=function(e){var o=document.createElement("style");return e.setAttributes(o,e.attributes),e.insert(o,e.options),o}},56(e,o,r){e.exports=function(e){var o=r.nc;o&&e.setAttribute("nonce",o)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var o=e.insertStyleElement(e);return{update:function(r){var t,n,a;t="",r.supports&&(t+="@supports (".concat(r.supports,") {")),r.media&&(t+="@media ".concat(r.media," {")),(n=void 0!==r.layer)&&(t+="@layer".concat(r.layer.length>0?" ".concat(r.layer):""," {")),t+=r.css,n&&(t+="}"),r.media&&(t+="}"),r.supports&&(t+="}"),(a=r.sourceMap)&&"u">typeof btoa&&(t+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(a))))," */")),e.styleTagTransform(t,o,e.options)},remove:function(){var e;null===(e=o).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,o){if(o.styleSheet)o.styleSheet.cssText=e;else{for(;o.firstChild;)o.removeChild(o.firstChild);o.appendChild(document.createTextNode(e))}}}}]);