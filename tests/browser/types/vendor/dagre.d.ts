import it from '@dagrejs/dagre';
export default it;
export * from '@dagrejs/dagre';
