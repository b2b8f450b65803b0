import it from 'uplot';
export default it;
export * from 'uplot';
