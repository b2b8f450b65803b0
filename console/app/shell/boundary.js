// A screen that breaks takes nothing else with it, and says what to do.
import { Component, html } from '../html.js';

/** @typedef {{ children?: import('../html.js').Children }} Props */

/** @extends {Component<Props, { error: Error | null }>} */
export class Boundary extends Component {
  constructor(/** @type {Props} */ props) {
    super(props);
    this.state = { error: /** @type {Error | null} */ (null) };
  }

  /** @param {Error} error */
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  render() {
    const error = /** @type {Error | null} */ (this.state.error);
    if (!error) return this.props.children;
    return html`<section class="empty" role="alert">
      <h1>This screen broke</h1>
      <p>It is a fault of the console, not of your system: that goes on. The other screens work.</p>
      <pre><code>${error.message || String(error)}</code></pre>
      <p>Until it is mended the command line tells the same: <code>brick ps</code>, <code>brick logs</code>, <code>brick trace ls</code>.</p>
      <p class="ways">
        <button type="button" class="button primary" onClick=${() => this.setState({ error: null })}>Try again</button>
        <a class="button" href=${location.pathname}>Show it without its filters</a>
      </p>
    </section>`;
  }
}
